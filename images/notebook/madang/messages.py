"""What the command line says, in the person's language: English texts are the keys."""

import os
from functools import cache
from typing import Any

_KO = {
    "no access: run this in a terminal of your server, or set MADANG_API and MADANG_TOKEN "
    "(on the host: as root, in the folder of Madang)":
        "접근 권한이 없습니다: 내 서버의 터미널에서 실행하거나 MADANG_API와 MADANG_TOKEN을 "
        "설정하세요 (호스트에서는 root로, 마당 폴더에서)",
    "Madang does not answer at {api}: {error}. Is it running? (on the host: madang status)":
        "마당이 {api}에서 응답하지 않습니다: {error}. 실행 중인가요? (호스트에서: madang status)",
    "Madang cannot answer just now; sending it again (it runs only once)":
        "마당이 지금 응답하지 못해 다시 보냅니다 (실행은 한 번만 합니다)",
    "there is no file {path}": "{path} 파일이 없습니다",
    "cannot read {path}: {error}": "{path} 파일을 읽을 수 없습니다: {error}",
    "{path} is {size} MiB; the largest notebook that is read is {most} MiB":
        "{path} 파일은 {size} MiB입니다. 노트북은 {most} MiB까지 읽습니다",
    "{path} is not a notebook: not JSON (line {line}: {error})":
        "{path} 파일은 노트북이 아닙니다: JSON이 아닙니다 ({line}행: {error})",
    "{path} is not a notebook: it has no list of cells":
        "{path} 파일은 노트북이 아닙니다: 셀 목록이 없습니다",
    "{path} must hold one object of names and values":
        "{path} 파일은 이름과 값으로 된 객체 하나여야 합니다",
    "{path} is YAML, and PyYAML is not installed here; give it as JSON":
        "{path} 파일은 YAML인데 여기에 PyYAML이 없습니다. JSON으로 주세요",
    "-p wants NAME=VALUE, not {text}": "-p에는 이름=값을 주세요: {text}",
    "--timeout wants seconds, or 30m, 3h, 1h30m, 1d, not {text}":
        "--timeout에는 초 또는 30m, 3h, 1h30m, 1d처럼 주세요: {text}",
    "run {id}: its output goes to {folder}": "실행 {id}: 결과는 {folder}에 저장됩니다",
    "in the line, number {position} for {profile}": "{profile} 대기 중, 순서 {position}번",
    "in the line": "대기 중",
    "starting": "시작하는 중",
    "running": "실행 중",
    "stopping: it saves what it has": "멈추는 중: 지금까지의 결과를 저장합니다",
    "cell {cell}/{cells}": "셀 {cell}/{cells}",
    "step {done}/{of}": "단계 {done}/{of}",
    "there is no folder {path}": "{path} 폴더가 없습니다",
    "the folder {path} is more than {limit} MiB, packed; the largest files: {some}. "
    "Move them elsewhere, or run in your home as it is: --no-snapshot":
        "{path} 폴더는 압축해도 {limit} MiB가 넘습니다. 가장 큰 파일: {some}. "
        "다른 곳으로 옮기거나, 홈을 그대로 쓰려면 --no-snapshot을 붙이세요",
    "the folder {path} has more than {files} files or {limit} MiB; the largest files: {some}. "
    "Move them elsewhere, or run in your home as it is: --no-snapshot":
        "{path} 폴더에 파일이 {files}개 또는 {limit} MiB를 넘게 있습니다. 가장 큰 파일: {some}. "
        "다른 곳으로 옮기거나, 홈을 그대로 쓰려면 --no-snapshot을 붙이세요",
    "copied along: {files} files, {size} KiB": "함께 복사함: 파일 {files}개, {size} KiB",
    "copied along: {files} files, {size} KiB; left out: {names}":
        "함께 복사함: 파일 {files}개, {size} KiB. 뺀 것: {names}",
    "the notebook lies in your home itself, which is not copied: it runs there":
        "노트북이 홈 폴더 바로 아래에 있습니다. 홈은 복사하지 않고 그 자리에서 실행합니다",
    "the transfer broke off: {error}. Try again":
        "전송이 중간에 끊겼습니다: {error}. 다시 시도하세요",
    "the connection to Madang broke; trying again": "마당과의 연결이 끊겼습니다. 다시 시도합니다",
    "the connection to Madang broke: {error}. The run goes on: madang run show {id}":
        "마당과의 연결이 끊겼습니다: {error}. 실행은 계속됩니다: madang run show {id}",
    "run {id} goes on without you. Follow it: madang run logs -f {id}   "
    "End it: madang run cancel {id}":
        "실행 {id}은(는) 계속됩니다. 다시 보기: madang run logs -f {id}   "
        "끝내기: madang run cancel {id}",
    "run {id}: {stage} after {time}. {message}": "실행 {id}: {stage} ({time}). {message}",
    "run {id}: {stage}": "실행 {id}: {stage}",
    "{stage}, attempt {attempt}": "{stage}, {attempt}번째 시도",
    "lease {id}: {stage}": "대여 {id}: {stage}",
    "no slice has been seen yet": "아직 발견된 슬라이스가 없습니다",
    "no leases": "대여가 없습니다",
    "nobody waits": "기다리는 사람이 없습니다",
    "lease {id}: yours until {time}": "대여 {id}: {time}까지 쓸 수 있습니다",
    "say which lease: {ids}": "어느 대여인지 지정하세요: {ids}",
    "you have no open lease; `madang leases` shows those that you may see":
        "열려 있는 내 대여가 없습니다. 볼 수 있는 대여는 `madang leases`로 확인하세요",
    "{id} is no id": "{id}은(는) id가 아닙니다",
    "by {time} ({why})": "{time}까지 ({why})",
    "waiting": "기다리는 사람이 있음",
    "idle": "작업 없음",
    "reserved": "예약됨",
    "limit": "가장 긴 시간",
    "preempted": "양보",
    "hand": "직접 종료",
    "this would fit: {count} of {profile} for {group}, {when}; next {next}":
        "예약할 수 있습니다: {group}에 {profile} {count}개, {when}; 다음 {next}",
    "reservation {id}: {count} of {profile} for {group}, {when}; next {next}":
        "예약 {id}: {group}에 {profile} {count}개, {when}; 다음 {next}",
    "none: Madang does not know this time zone any more":
        "없음: 마당이 이 시간대를 더는 알지 못합니다",
    "nothing is reserved": "예약이 없습니다",
    "reservation {id} is taken back": "예약 {id}을(를) 취소했습니다",
    "no groups": "그룹이 없습니다",
    "say what to change: --weight, --quota, --user-quota or --ends":
        "바꿀 것을 지정하세요: --weight, --quota, --user-quota 또는 --ends",
    "group {name} is changed": "그룹 {name}을(를) 바꾸었습니다",
    "group {name} has no settings any more": "그룹 {name}의 설정을 지웠습니다",
    "{id} is no name of a group": "{id}은(는) 그룹 이름이 아닙니다",
    "take --csv or --json, not both": "--csv와 --json 중 하나만 쓰세요",
    "nothing was used": "사용한 것이 없습니다",
    "(others)": "(다른 사람들)",
    "cannot write {path}: {error}": "{path} 파일을 쓸 수 없습니다: {error}",
    "written: {path}": "저장했습니다: {path}",
    "slice {key}: {state}": "슬라이스 {key}: {state}",
    "several slices are {key}: {keys}": "{key}인 슬라이스가 여럿입니다: {keys}",
    "there is no slice {key}; `madang slices` shows them as GPU and SLOT":
        "슬라이스 {key}이(가) 없습니다. `madang slices`의 GPU와 SLOT을 쓰세요",
    "{since} - {until}: {well} succeeded, {wrong} went wrong, {still} not ended yet":
        "{since} - {until}: 성공 {well}개, 문제 {wrong}개, 끝나지 않음 {still}개",
    "sweep {id} of {notebook}: {counts}": "{notebook}의 스윕 {id}: {counts}",
    "{name} did not run at {slot}: {why}": "{name}: {slot}에 실행하지 못했습니다: {why}",
    "parameters that differ": "달라진 매개변수",
    "figures": "기록한 값",
    "the notebook and its outputs are as before": "노트북과 출력이 이전과 같습니다",
    "cells: {changed} changed, {added} new, {removed} removed, {same} with the same source; "
    "outputs of {outputs} differ":
        "바뀐 셀 {changed}개, 새 셀 {added}개, 없어진 셀 {removed}개, 내용이 같은 셀 {same}개; "
        "출력이 다른 셀 {outputs}개",
    "outputs differ": "출력이 다름",
    "pictures: {before} before, {now} now": "그림: 이전 {before}개, 이번 {now}개",
    "cell {place}": "셀 {place}",
    # ---- Notebook Jobs in Lab ----
    "{name} cannot be the name of a parameter": "{name}은(는) 매개변수 이름이 될 수 없습니다",
    "{name} is {default} in the notebook, and {value} is no value of that kind":
        "{name}은(는) 노트북에서 {default}인데, {value}은(는) 같은 종류의 값이 아닙니다",
    "What it saved is in {folder}": "저장한 결과는 {folder}에 있습니다",
    "probably {time}": "예상 시각 {time}",
    "not before {time}": "{time}부터 대기합니다",
    "after run {id} has succeeded": "실행 {id}이(가) 성공한 뒤에 대기합니다",
    "not in the line yet: you have enough runs there":
        "아직 대기하지 않습니다: 이미 대기 중인 내 실행이 많습니다",
    "Notebook": "노트북",
    "Input": "입력",
    "Files": "파일",
    "a schedule needs its times: a cron expression": "일정에는 시각이 필요합니다: cron 식을 쓰세요",
    "In Lab: leave “Run job with input folder” unticked, then it runs there.":
        "Lab에서는 “입력 폴더와 함께 실행”의 선택을 해제하면 그 폴더에서 실행됩니다.",
    "a time limit is seconds, or 30m, 3h, 1h30m, 1d, not {text}":
        "시간 제한은 초 또는 30m, 3h, 1h30m, 1d처럼 씁니다: {text}",
    "tries after a loss are a number from 0 to {most}, not {text}":
        "유실 시 재시도는 0부터 {most}까지의 수입니다: {text}",
    "choose a size; if the form shows none, open it anew":
        "슬라이스 크기를 고르세요. 보이지 않으면 양식을 다시 여세요",
    "the list of jobs cannot be changed: {error}": "작업 목록을 바꿀 수 없습니다: {error}",
    "--sweep wants NAME=VALUE,VALUE or NAME=0..4, not {text}":
        "--sweep에는 이름=값,값 또는 이름=0..4를 주세요: {text}",
    "--sweep names {name} twice": "--sweep에 {name}이(가) 두 번 있습니다",
    "{text} has more than {most} values": "{text}의 값이 {most}개보다 많습니다",
    "planned: not in the line yet": "예정됨: 아직 대기 줄에 서지 않았습니다",
    "sweep {id}: {count} runs": "스윕 {id}: 실행 {count}개",
    "sweep {id}: {counts}": "스윕 {id}: {counts}",
    "sweep {id} goes on without you. Look at it: madang run list --sweep {id}   "
    "End it: madang run cancel --sweep {id}":
        "스윕 {id}은(는) 계속됩니다. 보기: madang run list --sweep {id}   "
        "끝내기: madang run cancel --sweep {id}",
    "it begins not before {time}": "{time} 이후에 시작합니다",
    "it begins after {run} has succeeded": "{run}이(가) 성공한 뒤에 시작합니다",
    "no schedules yet: madang schedule add NOTEBOOK --name … --cron …":
        "아직 일정이 없습니다: madang schedule add 노트북 --name … --cron …",
    "none of its times has come yet": "아직 정해진 시각이 되지 않았습니다",
    "schedule {name} is removed": "일정 {name}을(를) 지웠습니다",
    "schedule {name} is paused": "일정 {name}을(를) 잠시 멈추었습니다",
    "schedule {name}: next {time}": "일정 {name}: 다음 {time}",
    "paused": "멈춤",
    "several schedules are called {name}: {ids}": "{name}인 일정이 여럿입니다: {ids}",
    "there is no schedule {name}; `madang schedule list` shows yours":
        "일정 {name}이(가) 없습니다. 내 일정은 `madang schedule list`로 볼 수 있습니다",
    "no runs yet: madang run submit NOTEBOOK --profile …":
        "아직 실행이 없습니다: madang run submit 노트북 --profile …",
    "the course {path} has more than {files} files, or {limit} MiB packed; the largest files: "
    "{some}. Push it with git, or leave them out":
        "강좌 {path}에 파일이 {files}개를 넘거나 압축해도 {limit} MiB가 넘습니다. 가장 큰 파일: "
        "{some}. git으로 올리거나 빼세요",
    "no courses": "강좌가 없습니다",
    "no release yet": "아직 릴리스가 없습니다",
    "nothing was handed out to you yet": "아직 받은 것이 없습니다",
    "no students": "학생이 없습니다",
    "say which course, by its name or with --course: {names}":
        "어느 강좌인지 이름이나 --course로 쓰세요: {names}",
    "{course}: nothing new": "{course}: 새로운 것이 없습니다",
    "{course}: update {number} is undone": "{course}: 업데이트 {number}을(를) 되돌렸습니다",
    "{course}: there is no update to undo": "{course}: 되돌릴 업데이트가 없습니다",
    "{course}: release {release}, update {update}": "{course}: 릴리스 {release}, 업데이트 {update}",
    "{path} is as it was handed out": "{path}은(는) 나눠 준 그대로입니다",
    "{path}: {count} left side by side": "{path}: 나란히 있는 곳이 {count}곳 남았습니다",
    "side by side: {count}; choose in Lab, on Madang's page, or with "
    "`madang course take FILE CELL [--mine]`":
        "{count}곳에 두 버전이 나란히 있습니다. Lab이나 마당 페이지에서, 또는 "
        "`madang course take 파일 셀 [--mine]`로 고르세요",
    "the runs go on without you: madang run list": "실행은 계속됩니다: madang run list",
    "differences, for a day: {page} in the browser":
        "바뀐 내용(하루 동안): 브라우저에서 {page}",
    "nothing was published": "공개하지 않았습니다",
    "{course}: release {number} is published, {files} files, {notebooks} notebooks":
        "{course}: {number}번 릴리스를 공개했습니다. 파일 {files}개, 노트북 {notebooks}개",
    "{course}: release {number} is withdrawn": "{course}: {number}번 릴리스를 거두었습니다",
    "{course}: against release {number}": "{course}: 릴리스 {number}과(와) 비교",
    "{course}: the first release": "{course}: 첫 릴리스",
    "left out: {names}": "뺀 것: {names}",
    "it cannot be published like this": "이대로는 공개할 수 없습니다",
    "one of --html and --json": "--html과 --json 중 하나만 쓰세요",
    "one of --again and --drop": "--again과 --drop 중 하나만 쓰세요",
    "{name} is not collected": "{name}: 걷지 않습니다",
    "nothing is collected": "걷는 과제가 없습니다",
    "nothing was taken yet": "아직 걷은 것이 없습니다",
    "{course} collects nothing by the name {name}": "{course}에는 과제 걷기 {name}이(가) 없습니다",
    "{path}: {count} students": "{path}: 학생 {count}명",
    "refused": "거절",
    "note": "참고",
}


@cache
def language() -> str:
    """`ko` or `en`: LC_ALL, LC_MESSAGES, what the person chose in Lab, LANG; the first set wins."""
    for name in ("LC_ALL", "LC_MESSAGES", "MADANG_LANG", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "ko" if value.startswith("ko") else "en"
    return "en"


def t(text: str, /, **values: Any) -> str:
    """`text` in the person's language, its `{places}` filled."""
    return (_KO.get(text, text) if language() == "ko" else text).format(**values)
