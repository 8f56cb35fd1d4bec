"""tuspyserver as its pages show it, in the environment of its own: `python server.py FOLDER PORT`.

It gives nothing out itself: what was taken in is served beside it as any FastAPI application would serve files.
"""

import sys

import uvicorn
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from tuspyserver import create_tus_router

folder, port = sys.argv[1], int(sys.argv[2])
app = FastAPI()
app.include_router(create_tus_router(prefix="files", files_dir=folder))
app.mount("/out", StaticFiles(directory=folder))
uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
