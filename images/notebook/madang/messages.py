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
    "no runs yet: madang run submit NOTEBOOK --profile …":
        "아직 실행이 없습니다: madang run submit 노트북 --profile …",
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
