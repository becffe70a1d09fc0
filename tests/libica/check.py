"""Checks the simulator with libica, whose models refuse what the platform's schemas do not allow.

Usage: check.py URL, of a simulator with the world of tests/simulator/support.rs.
"""

import datetime
import hashlib
import sys
import time
import urllib.request

from libica.openapi.v3 import ApiClient, Configuration
from libica.openapi.v3.api.data_api import DataApi
from libica.openapi.v3.api.job_api import JobApi
from libica.openapi.v3.api.project_api import ProjectApi
from libica.openapi.v3.api.project_data_api import ProjectDataApi
from libica.openapi.v3.api.project_data_copy_batch_api import ProjectDataCopyBatchApi
from libica.openapi.v3.api.project_data_move_batch_api import ProjectDataMoveBatchApi
from libica.openapi.v3.exceptions import ApiException
from libica.openapi.v3.models import (
    CreateFileAndUploadUrl,
    CreateFolder,
    CreateProjectDataCopyBatch,
    CreateProjectDataCopyBatchItem,
    CreateProjectDataMoveBatch,
    CreateProjectDataMoveBatchItem,
    ProjectDataMoveBatchItemQueryParameters,
)

CONTENT = b"hello, simulator\n" * 1000


def check(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")
    print(f"ok: {what}")


def wait_until(predicate, what, seconds=20):
    end = time.monotonic() + seconds
    while not (result := predicate()):
        if time.monotonic() > end:
            raise SystemExit(f"never: {what}")
        time.sleep(0.1)
    return result


def by_cursor(data, project, **filters):
    token, found = "", []
    while True:
        page = data.get_project_data_list(
            project_id=project, page_token=token, page_offset="", page_size="2", **filters
        )
        found += page.items
        token = page.next_page_token
        if not token:
            return found


def by_offset(data, project, **filters):
    found, total = [], 1
    while len(found) < total:
        page = data.get_project_data_list(
            project_id=project, page_offset=str(len(found)), page_size="2", **filters
        )
        found += page.items
        total = page.total_item_count
    return found


def paths(items):
    return sorted(item.data.details.path for item in items)


def main(url):
    host = f"{url}/ica/rest"
    with ApiClient(Configuration(host=host, access_token="any.jwt.here")) as client:
        projects = ProjectApi(client).get_projects(page_offset="0", page_size="1000").items
        ids = {project.name: str(project.id) for project in projects}
        check(set(ids) == {"lab", "archive"}, "projects are listed")
        lab, archive = ids["lab"], ids["archive"]
        data = ProjectDataApi(client)

        listed = paths(by_cursor(data, lab, parent_folder_path="/run/"))
        check(len(listed) == 6, "data are listed by cursor")
        check(listed == paths(by_offset(data, lab, parent_folder_path="/run/")), "and the same by offset")
        odd = data.get_project_data_list(project_id=lab, file_path=["/run/deep/er/c d+#%ü.bin"]).items
        check(paths(odd) == ["/run/deep/er/c d+#%ü.bin"], "odd names survive the query")

        folder = data.create_folder(archive, CreateFolder(name="new", folder_path="/in/"))
        check(folder.data.details.path == "/in/new/", "a folder is created")
        created = data.create_file_with_upload_url(
            archive, CreateFileAndUploadUrl(name="hello.txt", folder_id=folder.data.id)
        )
        check(created.data.details.status == "PARTIAL", "a file is created")

        put = urllib.request.Request(created.upload_url, data=CONTENT, method="PUT")
        put.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(put) as answer:
            check(answer.status == 200, "its bytes are taken")

        def available():
            seen = data.get_project_data(archive, created.data.id)
            return seen if seen.data.details.status == "AVAILABLE" else None

        details = wait_until(available, "the file is AVAILABLE").data.details
        check(details.file_size_in_bytes == len(CONTENT), "its size is known")
        check(details.object_e_tag == hashlib.md5(CONTENT).hexdigest(), "its ETag is the MD5")

        download = data.create_download_url_for_data(archive, created.data.id)
        with urllib.request.urlopen(download.url) as answer:
            check(answer.read() == CONTENT, "its bytes come back")

        wanted = [item for item in by_cursor(data, lab, parent_folder_path="/run/")
                  if item.data.details.name in ("a.fastq.gz", "one.txt")]
        batches = ProjectDataCopyBatchApi(client)
        batch = batches.create_project_data_copy_batch(
            archive,
            CreateProjectDataCopyBatch(
                items=[CreateProjectDataCopyBatchItem(data_id=item.data.id) for item in wanted],
                destination_folder_id=folder.data.id,
                copy_user_tags=True,
                copy_technical_tags=True,
                copy_instrument_info=True,
                action_on_exist="SKIP",
            ),
        )
        jobs = JobApi(client)

        def finished():
            job = jobs.get_job(str(batch.job.id))
            return job if job.time_finished else None

        job = wait_until(finished, "the job is finished")
        check(job.status == "PARTIALLY_SUCCEEDED", "the single-part file meets the tag defect")
        newest = jobs.get_jobs(page_offset="0", page_size="1", sort="timeCreated desc").items[0]
        check(newest.subject_id == batch.id, "the job is found again")
        items = batches.get_project_data_copy_batch_items(archive, str(batch.id)).items
        status = {item.request.data_id: item.processing.status for item in items}
        check(sorted(status.values()) == ["COPIED", "FAILED"], "its items say which file failed")

        by_urn = DataApi(client).get_data(created.data.urn)
        check(by_urn.id == created.data.id, "data are found by their URN")

        recent = available().data.details.time_created - datetime.timedelta(seconds=1)
        newer = by_cursor(data, archive, creation_date_after=recent, parent_folder_path="/in/new/")
        older = by_cursor(data, archive, creation_date_before=recent, parent_folder_path="/in/new/")
        check("/in/new/hello.txt" in paths(newer) and older == [], "data are listed by the date of their making")
        later = by_cursor(data, archive, status_date_after=recent, status_date_before=recent)
        check(later == [], "and by the date of their status")

        before = data.get_project_data_with_http_info(archive, created.data.id)
        tagged = before.data
        tagged.data.details.tags.user_tags.append("seen")
        stamp = {"If-Match": before.headers["etag"]}
        updated = data.update_project_data(archive, created.data.id, tagged, _headers=stamp)
        check(updated.data.details.tags.user_tags == ["seen"], "a tag is added")
        try:
            data.update_project_data(archive, created.data.id, tagged, _headers=stamp)
            check(False, "a stale update is refused")
        except ApiException as error:
            check(error.status == 409, "a stale update is refused")

        moves = ProjectDataMoveBatchApi(client)
        to = data.create_folder(lab, CreateFolder(name="moved"))
        batch = moves.create_project_data_move_batch(
            lab,
            CreateProjectDataMoveBatch(
                items=[CreateProjectDataMoveBatchItem(data_id=created.data.id)],
                destination_folder_id=to.data.id,
            ),
        )
        moved = wait_until(finished, "the move is finished")
        check(moved.status == "SUCCEEDED", "a file is moved")
        batch = moves.get_project_data_move_batch(lab, str(batch.id))
        check(batch.job.status == "SUCCEEDED", "its batch says so")
        items = moves.get_project_data_move_batch_items(
            lab,
            str(batch.id),
            project_data_move_batch_item_query_parameters=ProjectDataMoveBatchItemQueryParameters(status=["MOVED"]),
        ).items
        check(items[0].created_project_data.data.details.path == "/moved/hello.txt", "its item says where it is")
        item = moves.get_project_data_move_batch_item(lab, str(batch.id), str(items[0].id))
        check(item.processing.status == "MOVED", "and is found by its id")

        data.delete_data(archive, folder.data.id)

        def gone():
            try:
                data.get_project_data(archive, folder.data.id)
            except ApiException as error:
                return error.status == 404
            return False

        check(wait_until(gone, "the folder is gone"), "a folder is deleted")


if __name__ == "__main__":
    main(sys.argv[1])
