"""The backend: an HTTP server that keeps workloads until they are deleted, each with a log.

`PUT /workloads/ID` starts one or answers with the one that is there, `GET /workloads?owner=NAME`
lists, `GET /workloads/ID/log` and `DELETE /workloads/ID` do what they say.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

WORKLOADS = web.AppKey("workloads", dict[str, dict[str, Any]])


async def put(request: web.Request) -> web.Response:
    workloads, name = request.app[WORKLOADS], request.match_info["id"]
    if name not in workloads:
        workload = await request.json()
        started = datetime.now(UTC).isoformat()
        log = f"{started} started {workload['image']}\n"
        workloads[name] = {**workload, "id": name, "started": started, "log": log}
    return web.json_response(workloads[name])


async def get(request: web.Request) -> web.Response:
    owner, workloads = request.query["owner"], request.app[WORKLOADS]
    return web.json_response([one for one in workloads.values() if one["owner"] == owner])


async def log(request: web.Request) -> web.Response:
    workload = request.app[WORKLOADS].get(request.match_info["id"])
    if workload is None:
        raise web.HTTPNotFound
    return web.Response(text=workload["log"])


async def delete(request: web.Request) -> web.Response:
    if request.app[WORKLOADS].pop(request.match_info["id"], None) is None:
        raise web.HTTPNotFound
    return web.Response(status=204)


def application() -> web.Application:
    app = web.Application()
    app[WORKLOADS] = {}
    app.router.add_put("/workloads/{id}", put)
    app.router.add_get("/workloads", get)
    app.router.add_get("/workloads/{id}/log", log)
    app.router.add_delete("/workloads/{id}", delete)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(application(), host="127.0.0.1", port=parser.parse_args().port, print=None)
