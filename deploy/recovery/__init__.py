"""Backups of what the services store, restored exactly, and stores made again from topics.

`backup` and `restore` are what the commands call; `archive` is a backup on disk, `ground` where services stand.
Workflow's documents: `cases` (from nothing), `forward` (from a backup), by `histories`, `stubs`, `shares`, `figures`.
Files: `files` (what the service mends itself). Intake's: `keys`, by `echo`, `hearing`, `memory`, read in `stretches`.
"""
