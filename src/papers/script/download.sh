#!/usr/bin/env bash
#
# Downloads the files of a data package into a folder of yours.
#
#     bash download-data.sh --download-path /path/to/folder
#     bash download-data.sh --help
#
# It needs bash (3.2 or newer) and curl. What it downloads is listed at its end, one line for each file:
#
#     f SIZE 'PATH' 'URL' 'MD5' 'SHA256'
#
# Whoever has one of these URLs can read that file until the links expire: keep this script to yourself.
#
# What it does to your folder: it makes folders and files below it, and nothing outside of it. A file that is there
# with the right size is left alone, a shorter one is taken for a download that was cut off and is continued, and a
# longer one is left alone and reported. While a file is on its way it is called PATH.TAG.part. With
# --decompress-ora, a hidden file `.NAME.gz.ora` remembers the sizes of the .ora file and of the .gz made from it. Do not
# let two runs download the same files at the same time.

if [ -z "${BASH_VERSION:-}" ]; then
  echo 'Error! Please run this script with bash' >&2
  exit 1
fi

# The package. The links are good until links_expire, which is links_expire_at in seconds since 1970.
package_name=''
package_id=''
package_files=0
package_bytes=0
links_expire=''
links_expire_at=0
part_tag='part'

# No file names are made from patterns here, an unset variable is an error, and a character is a byte.
set -fu
user_locale=${LC_ALL:-${LC_CTYPE:-${LANG:-}}}
export LC_ALL=C
IFS=$' \t\n'

# Small files are fetched by one curl until there are that many of them, or that many bytes.
most_files=64
most_bytes=8388608
# How often a download that makes no progress is tried again, and how often one that does.
most_stuck=2
most_tries=100

mode=download
dir=''
decompress_ora=false
jobs=1
patterns=()
selected_files=$package_files
selected_bytes=$package_bytes

rows=0       # lines of the list that were read
taken=0      # those of them that are wanted
count=0      # files in the batch
bytes=0      # their bytes
batches=0    # batches given to jobs
tmp=''       # a folder of our own, for what jobs report
finished=false
folds=''     # whether the folder takes `A` and `a` for one name: yes, no, or not yet known
job_of=()    # the process in each slot
last_made='' # the folder of the last `mkdir` of a dry run

# --- Words ---------------------------------------------------------------------------------------------------------

say() {
  printf '%s\n' "$*" >&2
}

usage() {
  printf '%s\n' "Downloads data package '$package_name' ($package_id). Its links are good until $links_expire."
  cat <<'USAGE'

Usage: download-data.sh (--download-path local/download_path/)
                        [--dryrun]
                        [--decompress-ora]
                        [--print-tree]
                        [--verify]
                        [--only GLOB]
                        [--jobs N]
                        [-h | --help]

Options:
  --download-path    The local path to download the data to, folders may be created underneath this path.
  --dryrun           If set, the script will only detail the files that will be downloaded, but will not download
                     them: it prints the commands that would do it, with the links.
  --print-tree       Print the tree of files that will be downloaded and exit.
  --decompress-ora   If set, the script will decompress .ora files.
                     orad must be installed and ORADATA_PATH must be set to a directory that contains 'refbin'.
                     For help on installing orad, see
                     https://sapac.support.illumina.com/sequencing/sequencing_software/DRAGENORA/software-downloads.html
  --verify           Download nothing: compare the files that are there with the package, by size, and by SHA-256
                     or MD5 where that is known. Names what has to be fetched again, exit code 2 if there is something.
                     Files that were decompressed: add --decompress-ora.
  --only GLOB        Only files whose path in the package matches, such as '*.vcf.gz' or 'fastq/*': quote it. A '*'
                     matches '/', too. May be given several times.
  --jobs N           Download (or verify) N files at a time, 1 to 64; one if not given.
  --totals           Print the number of files and of bytes, and exit.
  --help             Print this help message and exit.

Environment Variables:
  ORADATA_PATH       The path to the orad reference directory, required if --decompress-ora is set.

Example:
    download-data.sh --download-path /path/to/download/folder/

Run it again after a failure: what is there is not downloaded again, and what was cut off is continued.
Exit code: 0 all is there, 1 wrong usage, 2 something failed or differs, 130 interrupted.

Requirements:
  * curl
USAGE
}

# Ends the script with exit code $1.
leave() {
  finished=true
  exit "$1"
}

refuse() {
  say "Error! $1"
  leave 1
}

# $1 without control characters, in `shown`: names come from others, and a terminal obeys.
printable() {
  shown=$1
  case $1 in
    *[[:cntrl:]]*) shown=${1//[[:cntrl:]]/?} ;;
  esac
}

# $1 with $3 for each $2, in `replaced`. Not by ${..//..}: versions of bash differ in what `\` and `&` mean there.
replace() {
  local rest=$1
  replaced=''
  while :; do
    case $rest in
      *"$2"*)
        replaced=$replaced${rest%%"$2"*}$3
        rest=${rest#*"$2"}
        ;;
      *)
        replaced=$replaced$rest
        return
        ;;
    esac
  done
}

# $1 as a word that a shell reads back, in `quoted`.
quote() {
  case $1 in
    *[[:cntrl:]]*) printf -v quoted '%q' "$1" ;;
    *\'*)
      replace "$1" "'" "'\\''"
      quoted="'$replaced'"
      ;;
    *) quoted="'$1'" ;;
  esac
}

# $1 as curl reads it between double quotes in a configuration, in `quoted`.
quote_for_curl() {
  quoted=$1
  case $1 in
    *[\\\"]* | *$'\r'*)
      replace "$1" "\\" "\\\\"
      replace "$replaced" '"' "\\\""
      replace "$replaced" $'\r' "\\r"
      quoted=$replaced
      ;;
  esac
}

# $1 bytes for people, in `human`: 1.5 GiB.
human() {
  local shift=0 unit whole rest hundredths
  for unit in bytes KiB MiB GiB TiB PiB EiB; do
    if [ $(($1 >> shift)) -lt 1024 ] || [ "$unit" = EiB ]; then
      break
    fi
    shift=$((shift + 10))
  done
  whole=$(($1 >> shift))
  rest=$(($1 - (whole << shift)))
  if [ "$shift" -gt 30 ]; then
    rest=$((rest >> (shift - 30)))
    shift=30
  fi
  hundredths=$(((rest * 100 + ((1 << shift) >> 1)) >> shift))
  if [ "$hundredths" -eq 100 ]; then
    whole=$((whole + 1))
    hundredths=0
  fi
  if [ "$1" -eq 1 ]; then
    human='1 byte'
  elif [ "$hundredths" -eq 0 ]; then
    human="$whole $unit"
  elif [ $((hundredths % 10)) -eq 0 ]; then
    human="$whole.$((hundredths / 10)) $unit"
  elif [ "$hundredths" -lt 10 ]; then
    human="$whole.0$hundredths $unit"
  else
    human="$whole.$hundredths $unit"
  fi
}

# --- Files ---------------------------------------------------------------------------------------------------------

# The sizes of files $@, in `sizes`, in that order, by one process. Their names begin with `/` or `.`, never with `-`.
sizes_of() {
  local lines='' line
  sizes=()
  case $stat_tool in
    gnu) lines=$(stat -c %s "$@" 2>/dev/null) ;;
    bsd) lines=$(stat -f %z "$@" 2>/dev/null) ;;
  esac
  for line in $lines; do
    sizes[${#sizes[@]}]=$line
  done
  if [ "${#sizes[@]}" -ne $# ]; then
    # One of them has gone, or there is no `stat`: one by one.
    sizes=()
    for line in "$@"; do
      lines=$(wc -c 2>/dev/null <"$line") || lines=0
      sizes[${#sizes[@]}]=$((lines))
    done
  fi
}

# Whether path $1 stays below the download path.
is_inside() {
  case "/$1/" in
    *//* | */./* | */../* | *$'\n'*) return 1 ;;
  esac
}

# Whether path $1, or a folder on its way, is a symbolic link below the download path.
has_link() {
  local rest=$1/ walked=$dir
  while [ -n "$rest" ]; do
    walked=$walked/${rest%%/*}
    rest=${rest#*/}
    [ -L "$walked" ] && return 0
  done
  return 1
}

# Whether the download path takes `A` and `a` for one name, as macOS does.
folds_case() {
  if [ -z "$folds" ]; then
    folds=no
    if (set -C && : >"$dir/.case-$part_tag-$$-a") 2>/dev/null; then
      [ -e "$dir/.CASE-$part_tag-$$-A" ] && folds=yes
      rm -f "$dir/.case-$part_tag-$$-a"
    fi
  fi
  [ "$folds" = yes ]
}

# Where file $1 of the batch goes (`target`), how it is called until it is whole (`part`), and what remembers the
# sizes of a decompressed one (`memo`).
place() {
  local path=${b_path[$1]} parent name
  target=$dir/$path
  memo=''
  parent=${target%/*}
  name=${path##*/}
  if is_ora "$path"; then
    target=${target%.ora}.gz
    name=${name%.ora}.gz
    memo=$parent/.$name.ora
    # orad is given a name that ends in .gz
    part=$parent/.$part_tag.$name
  else
    part=$target.$part_tag.part
  fi
  # A name has 255 bytes at most.
  if [ "${#name}" -gt 230 ]; then
    part=$parent/${b_row[$1]}-${b_size[$1]}.$part_tag.part
    [ -z "$memo" ] || part=$part.gz
  fi
}

# Whether path $1 is decompressed.
is_ora() {
  [ "$decompress_ora" = true ] || return 1
  case $1 in
    *.ora) return 0 ;;
  esac
  return 1
}

# Whether memo $1 knows a .gz that was made from $2 bytes of .ora; its size then is in `made`.
remembers() {
  local word='' from=''
  made=''
  [ -f "$1" ] && [ ! -L "$1" ] || return 1
  read -r word from made <"$1"
  [ "$word" = ora ] && [ "$from" = "$2" ]
}

choose_tools() {
  if stat -c %s / >/dev/null 2>&1; then
    stat_tool=gnu
  elif stat -f %z / >/dev/null 2>&1; then
    stat_tool=bsd
  else
    stat_tool=none
  fi
  md5_tool=none
  sha256_tool=none
  local tool
  for tool in openssl md5 md5sum; do
    command -v "$tool" >/dev/null 2>&1 && md5_tool=$tool
  done
  for tool in openssl shasum sha256sum; do
    command -v "$tool" >/dev/null 2>&1 && sha256_tool=$tool
  done
}

# By what a file of MD5 $1 and SHA-256 $2 is compared, in `compared`: sha256, md5, or size when neither is known, or
# there is no tool for it.
choose_sum() {
  compared=size
  if [ -n "$2" ] && [ "$sha256_tool" != none ]; then
    compared=sha256
  elif [ -n "$1" ] && [ "$md5_tool" != none ]; then
    compared=md5
  fi
}

# The sums of kind $1 of the other files, in `sums`, in that order, by one process. Of one that cannot be read: none.
sums_of() {
  local kind=$1 lines sum rest file
  shift
  sums=()
  run_sums "$@"
  while read -r sum rest; do
    # A name with a backslash makes GNU's line begin with one.
    [ -z "$sum" ] || sums[${#sums[@]}]=${sum#\\}
  done <<LINES
$lines
LINES
  [ "${#sums[@]}" -ne $# ] || return 0
  sums=()
  for file in "$@"; do
    run_sums "$file"
    lines=${lines%% *}
    sums[${#sums[@]}]=${lines#\\}
  done
}

# Lines that begin with the sums, in `lines`.
run_sums() {
  local tool=$sha256_tool
  [ "$kind" = sha256 ] || tool=$md5_tool
  case $tool in
    md5sum | sha256sum) lines=$("$tool" "$@" 2>/dev/null) ;;
    shasum) lines=$(shasum -a 256 "$@" 2>/dev/null) ;;
    md5) lines=$(md5 -q "$@" 2>/dev/null) ;;
    openssl) lines=$(openssl dgst "-$kind" -r "$@" 2>/dev/null) ;;
  esac
}

# Notes that path $1 failed, and why. Lines of a file, because jobs are processes.
fail() {
  printable "$1: $2"
  printf '%s\n' "$shown" >>"$tmp/failed"
  [ "$mode" = verify ] || say "Error! $shown"
}

# --- Batches and jobs ----------------------------------------------------------------------------------------------

# Line of the list: f SIZE PATH URL MD5 SHA256 [folded]; `folded` says that another path differs in case only.
f() {
  rows=$((rows + 1))
  if [ "${#patterns[@]}" -gt 0 ]; then
    wanted "$2" || return 0
  fi
  taken=$((taken + 1))
  case $mode in
    tree)
      printable "$2"
      printf '%s\n' "$shown" >&8
      return
      ;;
    totals)
      bytes=$((bytes + $1))
      return
      ;;
  esac
  # A large file, or one that is decompressed, is a batch of its own.
  local alone=false
  if [ "$1" -ge "$most_bytes" ] || is_ora "$2"; then
    alone=true
    flush
  fi
  b_size[count]=$1
  b_path[count]=$2
  b_url[count]=$3
  b_md5[count]=$4
  b_sha256[count]=$5
  b_folded[count]=${6:-}
  b_number[count]=$taken
  b_row[count]=$rows
  count=$((count + 1))
  bytes=$((bytes + $1))
  if [ "$alone" = true ] || [ "$count" -ge "$most_files" ] || [ "$bytes" -ge "$most_bytes" ]; then
    flush
  fi
}

# Whether path $1 matches one of the patterns of --only.
wanted() {
  local pattern
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2254 # it is a pattern
    case $1 in
      $pattern) return 0 ;;
    esac
  done
  return 1
}

# Does what is to be done with the batch.
flush() {
  [ "$count" -gt 0 ] || return 0
  case $mode in
    verify) start verify_batch ;;
    dryrun)
      plan
      print_batch
      ;;
    download)
      plan
      [ -z "$todo" ] || start download_batch
      ;;
  esac
  count=0
  bytes=0
}

# Runs function $1 on the batch: here, or in a process beside this one as soon as one of the slots is free.
start() {
  local slot
  [ "$jobs" -eq 1 ] || wait_for_slot
  [ "$mode" = verify ] || announce
  if [ "$jobs" -eq 1 ]; then
    "$1"
    return
  fi
  batches=$((batches + 1))
  # With `set -m` a job is a process group, which can be ended with all that it has started.
  set -m
  (
    trap - EXIT INT TERM HUP
    trap '' TTOU
    "$1"
    printf x >>"$tmp/ended"
    printf '%s\n' "$slot" >&9
  ) </dev/null &
  job_of[slot]=$!
  set +m
}

# A free slot, in `slot`. A job gives its slot back when it ends; one that was killed cannot, so this looks from time
# to time.
wait_for_slot() {
  until read -r -t 30 -u 9 slot; do
    for ((slot = 1; slot <= jobs; slot++)); do
      if [ -n "${job_of[slot]:-}" ] && ! kill -0 "${job_of[slot]}" 2>/dev/null; then
        return
      fi
    done
  done
}

end_jobs() {
  local job
  for job in ${job_of[@]+"${job_of[@]}"}; do
    kill -TERM -- "-$job" 2>/dev/null
  done
}

# At the end, however it comes.
cleanup() {
  local code=$?
  if [ "$finished" != true ]; then
    end_jobs
    say 'Error! This script is incomplete: please download the script itself again'
    code=1
  fi
  [ -z "$tmp" ] || rm -rf "$tmp"
  exit "$code"
}

# --- Downloading ---------------------------------------------------------------------------------------------------

# What is to be done with each file of the batch: those to be downloaded are in `todo`, the others are told.
plan() {
  local i k=0 path looked lookers wishes why
  todo=''
  looked=()
  lookers=''
  for ((i = 0; i < count; i++)); do
    path=${b_path[i]}
    why=''
    t_size[i]=-1
    p_size[i]=-1
    b_resumed[i]=''
    place "$i"
    if ! is_inside "$path"; then
      why='its path leads out of the download path'
    elif [ -e "$tmp/expired" ]; then
      why='not tried, because the links have expired'
    elif has_link "$path" || [ -L "$target" ] || [ -L "$part" ]; then
      why='a symbolic link is in its way, and is not followed'
    elif [ -e "$target" ] && [ ! -f "$target" ]; then
      why='something that is not a file has its name'
    elif [ -e "$part" ] && [ ! -f "$part" ]; then
      why='something that is not a file is in its way'
    elif [ -n "${b_folded[i]}" ] && [ "$mode" = download ] && folds_case; then
      why="the download path cannot tell its name from another file's, which differs only in case"
    fi
    if [ -n "$why" ]; then
      fail "$path" "$why"
      continue
    fi
    todo="$todo $i"
    if [ -e "$target" ]; then
      looked[k]=$target
      lookers="$lookers t$i"
      k=$((k + 1))
    fi
    if [ -e "$part" ]; then
      looked[k]=$part
      lookers="$lookers p$i"
      k=$((k + 1))
    fi
  done

  if [ "$k" -gt 0 ]; then
    sizes_of "${looked[@]}"
    k=0
    for i in $lookers; do
      case $i in
        t*) t_size[${i#t}]=${sizes[k]} ;;
        p*) p_size[${i#p}]=${sizes[k]} ;;
      esac
      k=$((k + 1))
    done
  fi

  wishes=$todo
  todo=''
  for i in $wishes; do
    plan_file "$i"
  done
}

# The same for file $1, whose place has been looked at.
plan_file() {
  local i=$1 size=${b_size[$1]} there=${t_size[$1]} begun=${p_size[$1]}
  place "$i"
  if [ -n "$memo" ]; then
    if [ "$there" -ge 0 ]; then
      if remembers "$memo" "$size" && [ "$there" = "$made" ]; then
        printable "$target"
        say "File already exists: $shown"
      else
        fail "${b_path[i]}" "${target##*/} is there, and was not made from it by this script: it is not overwritten"
      fi
      return
    fi
  elif [ "$there" -eq "$size" ]; then
    printable "$target"
    say "File already exists: $shown"
    return
  elif [ "$there" -gt "$size" ]; then
    fail "${b_path[i]}" "a larger file is there ($there bytes, not $size): it is not overwritten"
    return
  fi
  if [ "$mode" = download ]; then
    if ! [ -d "${target%/*}/" ] && ! mkdir -p "${target%/*}/" 2>/dev/null; then
      fail "${b_path[i]}" 'its folder cannot be made'
      return
    fi
    if [ -z "$memo" ]; then
      if [ "$begun" -gt "$size" ]; then
        rm -f "$part"
        begun=-1
      fi
      if [ "$there" -gt 0 ] && [ "$begun" -lt 0 ]; then
        # Cut off, by another program or an earlier script: continued. Where `A` is `a` it may be another file.
        if folds_case; then
          fail "${b_path[i]}" "a shorter file is there ($there bytes, not $size): please remove it"
          return
        fi
        if ! mv -f "$target" "$part"; then
          fail "${b_path[i]}" 'what is there cannot be renamed'
          return
        fi
        begun=$there
      fi
      if [ "$begun" -gt 0 ]; then
        b_resumed[i]=yes
      fi
    fi
  fi
  b_begun[i]=$((begun > 0 ? begun : 0))
  todo="$todo $i"
}

# Says what is about to be downloaded.
announce() {
  local i
  for i in $todo; do
    place "$i"
    printable "$target"
    human "${b_size[i]}"
    say "Downloading ${b_size[i]} bytes ($human) to '$shown', ${b_number[i]} / $selected_files"
  done
}

# The commands that would download the batch.
print_batch() {
  local i command
  for i in $todo; do
    place "$i"
    if [ ! -d "${target%/*}/" ] && [ "${target%/*}" != "$last_made" ]; then
      last_made=${target%/*}
      quote "$last_made"
      printf 'mkdir -p %s\n' "$quoted"
    fi
    command='curl --fail --location --retry 5 --globoff'
    quote "$target"
    if [ -n "$memo" ]; then
      local out=$quoted reference
      quote "$ORADATA_PATH"
      reference=$quoted
      quote "${b_url[i]}"
      command="$command --url $quoted | orad --quiet --ora-reference $reference --force --gz --out $out -"
    else
      command="$command --continue-at - --output $quoted"
      quote "${b_url[i]}"
      command="$command --url $quoted"
    fi
    printf '%s\n' "$command"
  done
}

# What curl is told on its standard input: links must not be seen in the list of processes.
curl_options='fail
location
globoff
show-error
retry = 5
connect-timeout = 60
proto = "=http,https"
proto-redir = "=http,https"
'

# Downloads those of the batch that are in `todo`.
download_batch() {
  local i try=0 config='' out line why seen again parts
  place "${todo##* }"
  if [ -n "$memo" ]; then
    download_ora "${todo##* }"
    return
  fi
  for i in $todo; do
    b_stuck[i]=0
    b_again[i]=0
  done
  while [ -n "$todo" ]; do
    try=$((try + 1))
    run_curl

    # One line for each file, in the order of the list, and before it what curl had to say.
    why=''
    seen=$todo
    for i in $todo; do
      b_code[i]=000
      b_why[i]=''
    done
    # shellcheck disable=SC2086 # numbers
    set -- $todo
    while IFS= read -r line; do
      case $line in
        =[0-9]*)
          if [ $# -gt 0 ]; then
            b_code[$1]=${line#=}
            b_why[$1]=$why
            shift
          fi
          why=''
          ;;
        curl:*) why=${line#curl: } ;;
      esac
    done <<LINES
$out
LINES

    parts=()
    again=''
    for i in $seen; do
      place "$i"
      b_got[i]=0
      if [ -f "$part" ]; then
        parts[${#parts[@]}]=$part
        again="$again $i"
      fi
    done
    if [ "${#parts[@]}" -gt 0 ]; then
      sizes_of "${parts[@]}"
      # shellcheck disable=SC2086 # numbers
      set -- $again
      for line in "${sizes[@]}"; do
        b_got[$1]=$line
        shift
      done
    fi

    todo=''
    again=''
    for i in $seen; do
      settle "$i"
    done
    [ -z "$again" ] || sleep 1
  done
}

# Runs curl for `todo`; what it says is in `out`.
run_curl() {
  local i
  config=$curl_options'continue-at = "-"
write-out = "=%{http_code}\n"
'
  for i in $todo; do
    place "$i"
    quote_for_curl "${b_url[i]}"
    config="${config}url = \"$quoted\"
"
    quote_for_curl "$part"
    config="${config}output = \"$quoted\"
"
  done
  if [ "$jobs" -eq 1 ] && [ -t 2 ] && [ "${b_size[i]}" -ge "$most_bytes" ]; then
    # A large file on a terminal: with a bar.
    out=$(printf '%sprogress-bar\n' "$config" | curl --config -)
  else
    out=$(printf '%ssilent\n' "$config" | curl --config - 2>&1)
  fi
}

# Notes that a link was answered with $1, if that is how a link is refused: S3 says 403 when it has expired, and 400
# when the credentials behind it have.
note_denial() {
  case $1 in
    400 | 401 | 403 | 410)
      : >>"$tmp/denied"
      if [ "$(date +%s)" -ge "$links_expire_at" ]; then
        : >>"$tmp/expired"
      fi
      ;;
  esac
}

# Whether file $1 has the sum of file $2 of the batch, as far as that is known.
same_sum() {
  choose_sum "${b_md5[$2]}" "${b_sha256[$2]}"
  [ "$compared" != size ] || return 0
  sums_of "$compared" "$1"
  if [ "$compared" = md5 ]; then
    [ "${sums[0]}" = "${b_md5[$2]}" ]
  else
    [ "${sums[0]}" = "${b_sha256[$2]}" ]
  fi
}

# What becomes of file $1 after curl has tried: whole, failed, or back into `todo` (into `again`, too, if after a
# pause).
settle() {
  local i=$1 size=${b_size[$1]} got=${b_got[$1]} code=${b_code[$1]} reason
  place "$i"
  if [ "$got" -eq "$size" ] && { [ "$size" -gt 0 ] || [ "${code#2}" != "$code" ]; }; then
    # What was continued may have changed since, or may have been something else.
    if [ -n "${b_resumed[i]}" ] && ! same_sum "$part" "$i"; then
      reason="its $compared sum is not that of the package"
      got=0
      code=416
    else
      if [ ! -f "$part" ]; then
        : >"$part" # of no bytes
      fi
      mv -f "$part" "$target" || fail "${b_path[i]}" 'it is whole, but cannot be renamed'
      return
    fi
  elif [ "$got" -gt "$size" ]; then
    rm -f "$part"
    fail "${b_path[i]}" "the server sent more than $size bytes"
    return
  else
    reason="HTTP $code"
    case $code in
      000 | 3*) reason=${b_why[i]:-'no answer'} ;;
      2*) reason="cut off after $got of $size bytes" ;;
      400 | 401 | 403 | 410) reason="HTTP $code, the link is not accepted" ;;
    esac
    case $reason in
      *://*) reason='curl failed' ;;
    esac
  fi

  case $code in
    416 | 2*)
      # Cannot be continued: once from the beginning. 33 is what curl says of a server that ignores ranges.
      if [ "$code" = 416 ] || [ "${b_why[i]#*(33)}" != "${b_why[i]}" ]; then
        rm -f "$part"
        if [ "${b_again[i]}" -eq 0 ]; then
          b_again[i]=1
          b_begun[i]=0
          b_resumed[i]=''
          todo="$todo $i"
        else
          fail "${b_path[i]}" "$reason"
        fi
        return
      fi
      ;;
    000 | 3*) ;;
    *)
      note_denial "$code"
      fail "${b_path[i]}" "$reason"
      return
      ;;
  esac

  # Cut off, or never begun.
  if [ "$got" -gt "${b_begun[i]}" ]; then
    b_stuck[i]=0
  else
    b_stuck[i]=$((b_stuck[i] + 1))
    again="$again $i"
  fi
  b_begun[i]=$got
  if [ "${b_stuck[i]}" -gt "$most_stuck" ] || [ "$try" -ge "$most_tries" ]; then
    fail "${b_path[i]}" "$reason"
    return
  fi
  todo="$todo $i"
}

# Downloads and decompresses file $1. A stream cannot be continued, so each try is a whole one.
download_ora() {
  local i=$1 size=${b_size[$1]} config head try reason codes code length line
  place "$i"
  head=$tmp/head.$i.$batches
  for ((try = 1; ; try++)); do
    quote_for_curl "${b_url[i]}"
    config="${curl_options}url = \"$quoted\"
"
    quote_for_curl "$head"
    config="${config}dump-header = \"$quoted\"
"
    rm -f "$head" "$part"
    if [ "$jobs" -eq 1 ] && [ -t 2 ]; then
      printf '%sprogress-bar\n' "$config" | curl --config - |
        orad --quiet --ora-reference "$ORADATA_PATH" --force --gz --out "$part" - >"$head.orad" 2>&1
      codes=("${PIPESTATUS[@]}")
    else
      printf '%ssilent\n' "$config" | curl --config - 2>/dev/null |
        orad --quiet --ora-reference "$ORADATA_PATH" --force --gz --out "$part" - >"$head.orad" 2>&1
      codes=("${PIPESTATUS[@]}")
    fi

    # The last answer counts: those before it were redirects, or failures that curl has tried again.
    code=000
    length=''
    if [ -f "$head" ]; then
      while read -r line; do
        line=${line%$'\r'}
        case $line in
          HTTP/*)
            line=${line#* }
            code=${line%% *}
            length=''
            ;;
          [Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]:*) length=${line##*[: ]} ;;
        esac
      done <"$head"
    fi

    case $code in
      400 | 401 | 403 | 410)
        note_denial "$code"
        reason="HTTP $code, the link is not accepted"
        break
        ;;
      2* | 3* | 000) ;;
      *)
        reason="HTTP $code"
        break
        ;;
    esac
    if [ -n "$length" ] && [ "$length" != "$size" ]; then
      reason="the server has $length bytes, not $size"
      break
    fi
    # 23: curl could not write, because orad had ended.
    if [ "${codes[1]}" -ne 0 ] && [ "${codes[1]}" -ne 23 ]; then
      reason="cut off (curl ended with ${codes[1]})"
      if [ "$try" -gt "$most_stuck" ]; then
        break
      fi
      sleep 1
      continue
    fi
    if [ "${codes[2]}" -ne 0 ]; then
      line=''
      read -r line <"$head.orad"
      reason="orad ended with ${codes[2]}${line:+: $line}"
      break
    fi
    if [ "${codes[1]}" -ne 0 ] || [ ! -f "$part" ]; then
      reason='orad has not read all of it'
      break
    fi
    sizes_of "$part"
    if [ ! -L "$memo" ] && printf 'ora %s %s\n' "$size" "${sizes[0]}" >"$memo" && mv -f "$part" "$target"; then
      rm -f "$head" "$head.orad"
      return
    fi
    reason='it is whole, but cannot be renamed'
    break
  done
  rm -f "$part" "$head" "$head.orad"
  fail "${b_path[i]}" "$reason"
}

# --- Verifying -----------------------------------------------------------------------------------------------------

verify_batch() {
  local i k=0 lookers='' by_sha256='' by_md5='' by_size=0 line found
  found=()
  for ((i = 0; i < count; i++)); do
    place "$i"
    if ! is_inside "${b_path[i]}"; then
      fail "${b_path[i]}" 'its path leads out of the download path'
    elif has_link "${b_path[i]}" || [ -L "$target" ]; then
      fail "${b_path[i]}" 'a symbolic link is in its way'
    elif [ ! -f "$target" ]; then
      fail "${b_path[i]}" 'missing'
    else
      found[k]=$target
      lookers="$lookers $i"
      k=$((k + 1))
    fi
  done
  [ "$k" -eq 0 ] || sizes_of "${found[@]}"
  k=0
  for i in $lookers; do
    line=${sizes[k]}
    k=$((k + 1))
    place "$i"
    if [ -n "$memo" ]; then
      # Of a decompressed file there is what was noted when it was made.
      if ! remembers "$memo" "${b_size[i]}"; then
        fail "${b_path[i]}" "${target##*/} was not made from it by this script"
      elif [ "$line" != "$made" ]; then
        fail "${b_path[i]}" "${target##*/} has $line bytes, not $made"
      else
        by_size=$((by_size + 1))
      fi
    elif [ "$line" -ne "${b_size[i]}" ]; then
      fail "${b_path[i]}" "$line bytes, not ${b_size[i]}"
    else
      choose_sum "${b_md5[i]}" "${b_sha256[i]}"
      case $compared in
        sha256) by_sha256="$by_sha256 $i" ;;
        md5) by_md5="$by_md5 $i" ;;
        size) by_size=$((by_size + 1)) ;;
      esac
    fi
  done
  verify_sums sha256 "$by_sha256"
  by_sha256=$verified
  verify_sums md5 "$by_md5"
  printf '%s %s %s\n' "$by_sha256" "$verified" "$by_size" >>"$tmp/verified"
}

# Compares the sums of kind $1 of files $2 of the batch; how many are equal, in `verified`.
verify_sums() {
  local i k=0 known found
  verified=0
  [ -n "$2" ] || return 0
  found=()
  for i in $2; do
    place "$i"
    found[${#found[@]}]=$target
  done
  sums_of "$1" "${found[@]}"
  for i in $2; do
    known=${b_sha256[i]}
    [ "$1" = sha256 ] || known=${b_md5[i]}
    if [ "${sums[k]}" = "$known" ]; then
      verified=$((verified + 1))
    else
      fail "${b_path[i]}" "its $1 sum is not that of the package"
    fi
    k=$((k + 1))
  done
}

# --- The tree ------------------------------------------------------------------------------------------------------

# Draws the tree of the paths in file $1.
draw_tree() {
  local charset=ascii
  case $user_locale in
    *[Uu][Tt][Ff]-8 | *[Uu][Tt][Ff]8) charset=utf8 ;;
  esac
  sort "$1" | awk -v charset="$charset" '
    # Paths in order. Going backwards, a name has a later sibling if the path after it shares all folders above it.
    { line[NR] = $0 }
    END {
      tee = "|-- "; elbow = "`-- "; bar = "|   "
      if (charset == "utf8") {
        tee = "\342\224\234\342\224\200\342\224\200 "
        elbow = "\342\224\224\342\224\200\342\224\200 "
        bar = "\342\224\202   "
      }
      print "<DOWNLOAD_PATH>/"
      after = 0
      for (n = NR; n >= 1; n--) {
        depth = split(line[n], name, "/")
        same = shared(name, depth, next_name, after)
        if (same < depth) {
          later[same + 1] = n < NR && same < after
          for (d = same + 2; d <= depth; d++) later[d] = 0
        }
        above = n > 1 ? split(line[n - 1], before, "/") : 0
        text = ""
        for (d = 1; d <= depth; d++) {
          if (d > shared(name, depth, before, above)) {
            indent = ""
            for (k = 1; k < d; k++) indent = indent (later[k] ? bar : "    ")
            text = text indent (later[d] ? tee : elbow) name[d] (d < depth ? "/" : "") "\n"
          }
        }
        drawn[n] = text
        for (d = 1; d <= depth; d++) next_name[d] = name[d]
        after = depth
      }
      for (n = 1; n <= NR; n++) printf "%s", drawn[n]
    }
    # How many names at the beginning two paths share.
    function shared(a, n, b, m,    k) {
      for (k = 0; k < n && k < m && a[k + 1] "" == b[k + 1] ""; k++);
      return k
    }'
}

# --- The end -------------------------------------------------------------------------------------------------------

# After the last line of the list: the result is that of the script.
finish() {
  local line failed=0
  if [ "$rows" -ne "$package_files" ]; then
    refuse "This script is damaged: it lists $rows files, not $package_files. Please download it again"
  fi
  case $mode in
    tree)
      exec 8>&-
      draw_tree "$tmp/paths"
      finished=true
      return 0
      ;;
    totals)
      printf '%s %s\n' "$taken" "$bytes"
      finished=true
      return 0
      ;;
  esac
  flush
  wait
  if [ "${#patterns[@]}" -gt 0 ] && [ "$taken" -eq 0 ]; then
    refuse 'No file of the package matches'
  fi
  if [ "$batches" -gt 0 ]; then
    line=''
    [ ! -f "$tmp/ended" ] || read -r line <"$tmp/ended"
    if [ "${#line}" -ne "$batches" ]; then
      fail 'Some files' 'a job was killed; run this script again'
    fi
  fi
  if [ -f "$tmp/failed" ]; then
    while IFS= read -r line; do
      failed=$((failed + 1))
    done <"$tmp/failed"
  fi
  if [ "$mode" = verify ]; then
    finish_verify "$failed"
    return
  fi
  if [ "$failed" -eq 0 ]; then
    [ "$mode" = dryrun ] || say 'Download complete'
    finished=true
    return 0
  fi
  say "Error! $failed of $taken files were not downloaded:"
  list_failed
  if [ -e "$tmp/expired" ]; then
    say "The links of this script expired at $links_expire: please ask for a new script."
  elif [ -e "$tmp/denied" ]; then
    say "A link was not accepted, though the links of this script expire only at $links_expire."
    say 'It may have been withdrawn: please ask for a new script.'
  else
    say 'Run this script again to try them again.'
  fi
  finished=true
  return 2
}

finish_verify() {
  local sha256=0 md5=0 size=0 a b c
  if [ -f "$tmp/verified" ]; then
    while read -r a b c; do
      sha256=$((sha256 + a))
      md5=$((md5 + b))
      size=$((size + c))
    done <"$tmp/verified"
  fi
  say "$((sha256 + md5 + size)) of $taken files are as in the package:" \
    "$sha256 by SHA-256, $md5 by MD5, $size by size alone"
  if [ "$1" -eq 0 ]; then
    finished=true
    return 0
  fi
  say "Error! $1 of $taken files have to be fetched again:"
  list_failed
  say 'Remove those of them that are there, and run this script again without --verify.'
  finished=true
  return 2
}

list_failed() {
  local line
  while IFS= read -r line; do
    say "  $line"
  done <"$tmp/failed"
}

# --- The beginning -------------------------------------------------------------------------------------------------

begin() {
  local slot now asked_for='' pattern
  while [ $# -gt 0 ]; do
    case $1 in
      --download-path | --only | --jobs)
        asked_for=$1
        if [ $# -lt 2 ]; then
          [ "$1" != --download-path ] || break
          refuse "$1 needs a value"
        fi
        shift
        ;;
      --download-path=* | --only=* | --jobs=*)
        asked_for=${1%%=*}
        set -- "${1#*=}" "${@:2}"
        ;;
      --dryrun | --dry-run) mode=dryrun ;;
      --decompress-ora) decompress_ora=true ;;
      --print-tree) mode=tree ;;
      --verify) mode=verify ;;
      --totals) mode=totals ;;
      -h | --help)
        usage
        leave 0
        ;;
      *)
        printable "$1"
        say "Error! Unknown option '$shown'"
        usage >&2
        leave 1
        ;;
    esac
    case $asked_for in
      --download-path) dir=$1 ;;
      --only) patterns[${#patterns[@]}]=$1 ;;
      --jobs) jobs=$1 ;;
    esac
    asked_for=''
    shift
  done

  case $jobs in
    [1-9] | [1-5][0-9] | 6[0-4]) ;;
    *) refuse '--jobs needs a number from 1 to 64' ;;
  esac
  if [ "$mode" = totals ]; then
    return
  fi

  if [ "$mode" != tree ]; then
    if [ -z "$dir" ]; then
      say 'Error! Download path is required'
      usage
      leave 1
    fi
    if [ ! -d "$dir" ]; then
      printable "$dir"
      refuse "Download path '$shown' does not exist"
    fi
    # Without slashes at the end, and never an option of another program.
    while [ "${dir%/}" != "$dir" ]; do
      dir=${dir%/}
    done
    case $dir in
      '' | /* | . | .. | ./* | ../*) ;;
      *) dir=./$dir ;;
    esac
    if [ "$decompress_ora" = true ] && [ "$mode" != verify ]; then
      if ! command -v orad >/dev/null 2>&1; then
        refuse "'orad' command is not found, please install it to decompress .ora files"
      fi
      if [ -z "${ORADATA_PATH:-}" ] || [ ! -d "$ORADATA_PATH" ]; then
        refuse 'ORADATA_PATH is not set or does not point to a valid directory'
      fi
    fi
    if [ "$mode" = download ] && ! command -v curl >/dev/null 2>&1; then
      refuse "'curl' command is not found, please install it"
    fi
  fi

  tmp=$(mktemp -d "${TMPDIR:-/tmp}/download-data.XXXXXX") || refuse 'No temporary folder can be made'
  if [ "$mode" = tree ]; then
    exec 8>"$tmp/paths"
    return
  fi
  choose_tools

  # How many files match is known only after the list has been read: a script of its own reads it first.
  if [ "${#patterns[@]}" -gt 0 ]; then
    selected_files='?'
    selected_bytes='?'
    if [ -f "${BASH_SOURCE[0]:-}" ]; then
      set --
      for pattern in "${patterns[@]}"; do
        set -- "$@" --only "$pattern"
      done
      read -r selected_files selected_bytes <<TOTALS
$("${BASH:-bash}" "${BASH_SOURCE[0]}" --totals "$@" </dev/null)
TOTALS
    fi
  fi

  if [ "$jobs" -gt 1 ]; then
    if [ "$selected_files" != '?' ]; then
      slot=$((selected_files / (jobs * 4)))
      [ "$slot" -ge "$most_files" ] || most_files=$((slot > 0 ? slot : 1))
    fi
    mkfifo "$tmp/slots" || refuse 'No pipe can be made'
    exec 9<>"$tmp/slots"
    for ((slot = 1; slot <= jobs; slot++)); do
      printf '%s\n' "$slot" >&9
    done
  fi

  printable "${dir:-/}"
  if [ "$mode" = verify ]; then
    say "Checking $selected_files files in $shown"
    return
  fi
  say "Downloading $selected_files files to $shown"
  if [ "$selected_bytes" != '?' ]; then
    human "$selected_bytes"
    say "A total of $selected_bytes ( $human ) will be downloaded to $shown"
  fi
  if [ "$mode" = download ]; then
    now=$(date +%s)
    if [ "$now" -ge "$links_expire_at" ]; then
      say "The links of this script expired at $links_expire: please ask for a new script."
    fi
  fi
}

trap cleanup EXIT
trap 'end_jobs; say "Interrupted: run this script again to go on"; leave 130' INT TERM HUP
begin "$@"

# --- The files of the package: f SIZE PATH URL MD5 SHA256 ----------------------------------------------------------
