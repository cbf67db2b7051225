"""Playing a trace again, under this house's policy and under others, to compare them. Pure.

    traces, history ─► jobs ─► play(jobs, policy) ─► Record ─► scores

`ours` is the policy itself: the same `lease.step` and `policy.turn` that the broker calls. `peers`
are what others do. A job is what somebody needs of a slice, and is the same for every policy; what
nobody has recorded of students (when they forget to close, when they give up) is made up from a
seed, and said to be so.
"""
