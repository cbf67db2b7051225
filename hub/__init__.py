"""Madang on the host: the map. core decides, edge touches, the floor joins, face shows.

    hub/config.py      Settings: every key, its default and its help
    hub/errors.py      Refusal (for the student, the metric, the operator) and its children; Unknown
    hub/core/          pure decisions: no clock, no I/O; `step(state, event, now)` moves a lease
    hub/edge/          one outside thing per module: the store, the cards, Docker, homes, the hub's
                       API, the firewall, the machine
    hub/*.py           the floor: verbs that put a decision and a touch in order: broker, batch
                       (moving moves runs), schedules (occurring gives slots their turn), desk,
                       doctor; `edges.py` makes all edges, `machine.py` is the door to the
                       supervisor
    hub/face/          JupyterHub's spawner and log-in, the service, the command line, the
                       supervisor; `face/setup/` is what `make` runs before anything is installed
    images/notebook/madang/   what lives in a student's container, and the REST command line

Who may import whom (`tests/house/test_arrows.py` reads the imports):

    core ─► core, errors            floor ─► core, edge, config, errors, metrics
    edge ─► core, config, errors    face ─► floor, core, config, errors, metrics; never edge
            and one outside library         `cli.py` also `madang`
    face/setup ─► machine only: no virtual environment exists yet

Words, and nowhere a synonym: node, slice, profile, geometry, request, lease, reservation, group,
run, schedule, release, seat.
"""
