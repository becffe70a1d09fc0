"""Checks the simulator with wrapica, which calls it as people's scripts do.

Usage: check_wrapica.py URL, of a simulator with the world of tests/simulator/support.rs.
"""

import datetime
import os
import sys
import time
from pathlib import Path

import jwt

URL = sys.argv[1]
EXPIRES = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
os.environ["ICAV2_BASE_URL"] = f"{URL}/ica/rest"
os.environ["ICAV2_ACCESS_TOKEN"] = jwt.encode({"aud": "ica", "exp": EXPIRES}, "x" * 32, algorithm="HS256")

from wrapica.data import get_data_obj_from_data_id, get_owning_project_id  # noqa: E402
from wrapica.job import get_job  # noqa: E402
from wrapica.project_data import (  # noqa: E402
    add_tag_to_data_object,
    coerce_data_id_or_uri_to_project_data_obj,
    create_folder_in_project,
    find_project_data_bulk,
    get_project_data_obj_by_id,
    list_project_data_non_recursively,
    move_project_data,
)

LAB = "11111111-2222-4333-8444-000000000001"
ARCHIVE = "11111111-2222-4333-8444-000000000002"


def check(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")
    print(f"ok: {what}")


def finished(job):
    end = time.monotonic() + 20
    while not (seen := get_job(job.id)).time_finished:
        if time.monotonic() > end:
            raise SystemExit("never: the job is finished")
        time.sleep(0.1)
    return seen


def names(items):
    return sorted(item.data.details.name for item in items)


def main():
    run = list_project_data_non_recursively(LAB, parent_folder_path=Path("/run"))
    check(len(run) == 6, "data are listed")
    one = next(item for item in run if item.data.details.name == "one.txt")
    file, made = one.data.id, one.data.details.time_created
    hour = datetime.timedelta(hours=1)

    check(get_data_obj_from_data_id(file).details.path == "/run/one.txt", "data are found by their URN")
    check(get_owning_project_id(file) == LAB, "and so is the project that owns them")
    check(coerce_data_id_or_uri_to_project_data_obj(file).data.id == file, "an id is enough")

    for dates, count in [
        ({"creation_date_after": made - hour}, 6),
        ({"creation_date_after": made + hour}, 0),
        ({"creation_date_before": made + hour, "status_date_after": made - hour}, 6),
        ({"status_date_before": made - hour}, 0),
    ]:
        found = list_project_data_non_recursively(LAB, parent_folder_path=Path("/run"), **dates)
        check(len(found) == count, f"{count} data are listed by {', '.join(dates)}")

    tagged = add_tag_to_data_object(LAB, file, "seen", "user_tag")
    check(tagged.data.details.tags.user_tags == ["seen"], "a tag is added")
    tagged = add_tag_to_data_object(LAB, file, "also", "technical_tag")
    check(tagged.data.details.tags.user_tags == ["seen"], "and is kept when another is")

    folder = create_folder_in_project(ARCHIVE, Path("/in/moved"))
    folder_id = getattr(folder, "data", folder).id
    job = finished(move_project_data(ARCHIVE, folder_id, [file]))
    check(job.status == "SUCCEEDED", "a file is moved")
    check(get_project_data_obj_by_id(ARCHIVE, file).data.details.path == "/in/moved/one.txt", "and is there")
    left = find_project_data_bulk(LAB, parent_folder_path=Path("/run"))
    check("one.txt" not in names(left), "and not where it was")


if __name__ == "__main__":
    main()
