"""Every text that the board's scripts (static/*.js) show; one that is missing is a red test."""

_STATES = (
    "free", "in use", "asked back", "reserved", "coming free", "out of order", "taken out",
    "missing", "busy", "not cut",
    "planned", "waiting", "granted", "running", "ended", "left the line", "starting", "stopping",
    "succeeded", "failed", "cancelled", "interrupted", "timed-out", "out-of-memory",
    "kernel-died", "lost",
)
_WHYS = (
    "somebody waits, and the promised time is over", "somebody waits, and nothing happens on it",
    "reserved hours begin", "nobody may hold a slice any longer",
    "the week's quota is used up, and somebody waits", "somebody waits in front of a screen",
    "a person decided it",
)
_TIMES = (
    "about {time}", "before {time}", "between {from} and {to}", "{from} to {to}", "from {date} on",
    "{d} d {h} h", "{h} h {m} min", "{m} min", "since {time}", "until {time}", "{left} left",
    "{d} days",
)
_CARDS = (
    "Madang sees no GPU.", "GPU {index}", "{free} of {total} free", "yours", "you", "somebody",
    "{total} GiB", "{used} of {total} GiB", "State", "Memory", "Memory slots", "Held by",
    "promise over", "Promised until", "At the latest until", "Taken out because",
    "Slice {profile} on GPU {index}", "Close", "Not now", "Take out of use", "Put back into use",
    "Take {profile} out of use?", "Reason, for operators and instructors",
    "Nobody is given it until it is put back. Who holds it now keeps it.",
)
_MINE = (
    "You hold no slice and wait for none.", "Start a server", "run", "Your place: {position}",
    "Probably {range}", "Leave the line", "Leave the line for {profile}?",
    "Your place is lost; asking again is asking anew.",
    "Please save your work and give back: {why}.", "it ends at {time}",
    "{hours} slice-hours used so far", "at the latest until {time}",
    "Yours for as long as nobody waits.", "Promised until {time}", "Open JupyterLab", "Extend",
    "It cannot be extended now.", "It was extended.", "Give back", "Give back {profile}?",
    "What runs on it stops, and what is not saved is lost.", "The place in the line is lost.",
    "End the lease of {user}?", "Reason, for {user}", "End this lease", "End …",
    "You have a slice: {profile}.", "You need not give back any more.",
    "{profile} is asked back: {why}. {left} left.",
    "{used} of {quota} slice-hours this week",
    "{used} slice-hours used this week; there is no quota.",
    "{used} slice-hours used this week; your group's quota leaves {left}.",
    "{group}: {use} of all use, your share is {share}", "A new week begins {time}.",
)
_LINE = (
    "Nobody waits.", "{count} in the line", "No runs yet.", "cell {done} of {total}",
    "step {done} of {total}", "not before {time}", "Log", "Cancel", "Cancel {name}?",
    "It saves what it has, and stops.", "Cancel the run",
)
_CALENDAR = (
    "The week before", "This week", "The week after", "Reserve …", "Draw",
    "Draw the hours on the grid.", "Reservation", "Group", "Slices", "When", "Time zone", "Note",
    "Made by", "Remove …", "Remove this reservation?", "Remove", "Nothing is reserved.",
    "Days", "How often", "Every week", "Once", "From", "To", "First day", "Last day",
    "Empty: for ever.", "Begins", "Ends", "Size", "How many", "Save", "Reserve slices",
    "This fits.", "It is reserved.",
)
_DESK = (
    "Nobody holds a slice.", "Who holds what", "Person", "Slice", "Since", "Until", "Slice-hours",
    "idle since {time}", "promised {time}", "at the latest {time}", "none", "{use} used, {share} "
    "its share", "Groups", "There are no groups.", "Weight", "Use and share", "Week",
    "Quota for each", "Members", "Add a group …", "{used} slice-hours",
    "{used} of {quota} slice-hours", "Change …", "Change {name}", "Name",
    "Its part of the whole, against the weights of the others.", "Quota, slice-hours a week",
    "For the whole group. Empty: none.", "Quota for each member", "The last day on which it may "
    "ask.", "Back to the default", "Usage", "Nothing was used in this time.", "Idle", "Leases",
    "Mean wait", "95 % waited at most", "the others", "not known", "By", "Last",
)
_COURSES = (
    "Changed since, and therefore kept", "Nothing is new.", "One moment …", "Failed in cell {cell}",
    "Every notebook ran from top to bottom.", "Not every notebook ran to its end.",
    "{done} of {total} notebooks have run",
)
_HANDING_IN = (
    "Collect {name} now?", "Collect",
    "What each student has saved by now is copied, once. Afterwards only one student's at a time.",
    "Change {name}?", "Change",
    "Its folder and its deadline become as you have written them here.",
    "{name} is collected.", "{name} is planned.", "{name} was dropped.",
    "Collected of {user}, files: {files}", "The file cannot be read.",
    "Students who were given feedback: {count}",
)
_CONNECTION = (
    "Live", "Live, {s} s behind", "The connection is lost; trying again …",
    "Madang does not answer. Try again.",
)
SPOKEN = (
    *_STATES, *_WHYS, *_TIMES, *_CARDS, *_MINE, *_LINE, *_CALENDAR, *_DESK, *_COURSES,
    *_HANDING_IN, *_CONNECTION,
)
