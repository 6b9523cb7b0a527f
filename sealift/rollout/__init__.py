"""Rollouts: a release onto all hosts of a site, in waves, with a gate after each and a way back.

    waves.py     which hosts go together, and in which order; pure
    events.py    what a journal tells
    journal.py   the file that it tells it in: added to and never changed, each event on the disk at once
    course.py    what comes next, by the journal alone; pure
    gate.py      whether a host has passed, or in one sentence what failed; pure
    engine.py    asks the course, has it done, writes it down; goes on with what was cut off
    steps.py     what is done: ship, drain, arm, apply, verify, undrain, soak, confirm, go back
    known.py     what steps have to know beside the rollout: former evidence, alerts that fire
    prepared.py  a rollout before it begins: asks every host once; whether it may begin at all
    window.py    when waves may begin; pure
    promoting.py whether the site takes the release at all, and the record that it passed
    plan.py      what would be done, kept and held to
    report.py    what came of it; pages.py puts it on disk, plots.py draws objectives
    begin.py     holds the locks, opens or finds the journal, and lets the engine go

`prepared.prepare` is where a rollout is refused before anything is touched. `course.FORWARD` is the list of
what happens to a wave; a step that is to happen between two others gets its place there and its act in
steps.py. How a host goes back, by itself or told, is `sealift.fleet.generations`; what one run of pyinfra
does, is `sealift.fleet.wave`.
"""
