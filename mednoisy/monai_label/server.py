"""The server: MONAI Label's routes on threads, refusals as 4xx with their line, and our own routes before them."""

from __future__ import annotations

import functools
import inspect
import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from urllib.parse import parse_qsl

import jwt
import requests
from fastapi import Depends, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from monailabel.app import app
from monailabel.config import settings
from monailabel.endpoints import batch_infer, datastore, infer, info, login, logs, ohif, scoring, session
from monailabel.endpoints.user import auth
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile

from mednoisy.errors import DONE_IN_PART, UserError, did_you_mean
from mednoisy.monai_label.callers import LOCAL, check_caller
from mednoisy.monai_label.names import checked_id, checked_session, checked_tag
from mednoisy.monai_label.parameters import check_file_name, checked, parsed
from mednoisy.monai_label.scoring import progress, want
from mednoisy.monai_label.workplace import BOUND, Workplace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STATUS = {"E571": 404, "E573": 413, "E574": 413, "E576": 409, "E577": 429, "E578": 409, "E579": 409, "E586": 403,
          "E587": 409, "E395": 404}  # fmt: skip
BAD_REQUEST, NO_ROOM, SERVER_AT_FAULT = 400, 507, 500
ALGORITHMS = ["RS256", "ES256"]  # of tokens; PyJWT 2 asks for them, which MONAI Label 0.8.5 does not know
NAMES = {"image": checked_id, "id": checked_id, "label": checked_id, "tag": checked_tag, "session_id": checked_session}
STATES = {"waiting": "RUNNING", "training": "RUNNING", "done": "DONE", "failed": "ERROR", "stopped": "STOPPED",
          "interrupted": "STOPPED"}  # fmt: skip
MEGABYTE = 2**20
NO_GPU = () if shutil.which("nvidia-smi") else ("/logs/gpu",)
STOCK = (info, infer, batch_infer, datastore, session, scoring, logs, ohif)  # neither proxies nor whole slides
WITH_LOGIN = (login,) if settings.MONAI_LABEL_AUTH_ENABLE else ()
PAGES = ("/openapi.json", "/docs", "/static", "/", "/favicon.ico")

Admin = Annotated[auth.User, Depends(auth.RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
Annotator = Annotated[auth.User, Depends(auth.RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Anybody = Annotated[auth.User, Depends(auth.RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]


def threaded(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function that does what a coroutine function does which never waits: it then runs on a thread.

    MONAI Label's endpoints are such: one long request would keep all others waiting.
    """

    @functools.wraps(endpoint)
    def run(*args: Any, **kwargs: Any) -> Any:
        for upload in (each for given in kwargs.values() for each in (given if isinstance(given, list) else [given])):
            if isinstance(upload, UploadFile):
                check_file_name(upload.filename)
        coroutine = endpoint(*args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as end:
            answer = end.value
            if isinstance(answer, FileResponse) and Path(tempfile.gettempdir()) in Path(answer.path).parents:
                answer.background = answer.background or kwargs.get("background_tasks") or _removal(Path(answer.path))
            return answer
        except BaseException:
            for late in getattr(kwargs.get("background_tasks"), "tasks", ()):  # FastAPI drops them: they remove uploads
                late.func(*late.args, **late.kwargs)
            raise
        raise RuntimeError(f"{endpoint.__name__} waits for something, so it cannot be run on a thread")

    run.__signature__ = inspect.signature(endpoint, eval_str=True)  # type: ignore[attr-defined]
    del run.__wrapped__  # or it is taken for the coroutine function
    return run


def _removal(path: Path) -> BackgroundTask:
    """Of a file that was made to be sent, an archive of all studies perhaps; MONAI Label leaves it."""
    return BackgroundTask(path.unlink, missing_ok=True)


class Guard:
    """Refuses pages from elsewhere, names that are ways elsewhere, and bodies over the limit, before any route."""

    def __init__(
        self, inner: Callable[[Scope, Receive, Send], Awaitable[None]], limit: int, bound: str, pages: Sequence[str]
    ):
        self.inner, self.limit, self.bound, self.pages = inner, limit, bound, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As of any ASGI app."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        try:
            self._check(scope)
        except UserError as fault:
            await told(fault)(scope, receive, send)
            return
        received, over = 0, None

        async def counted() -> MutableMapping[str, Any]:
            nonlocal received, over
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                over = self._too_large(received)
                raise over
            return message

        async def unless_over(message: MutableMapping[str, Any]) -> None:
            if over is None:  # else it is what a route makes of a body that breaks off
                await send(message)

        await self.inner(scope, counted, unless_over)
        if over is not None:
            await told(over)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        check_caller(self.bound, headers.get(b"host", ""), headers.get(b"origin"), self.pages)
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            if value and name in NAMES and not (name == "image" and scope["path"].startswith("/session")):
                NAMES[name](value)
            if name == "uncompress" and value.lower() not in ("false", "0", "no", "off", ""):
                raise UserError("E586", "archives are not unpacked", "Upload the image itself")
        length = headers.get(b"content-length", "")
        if length.isdecimal() and int(length) > self.limit:
            raise self._too_large(int(length))

    def _too_large(self, size: int) -> UserError:
        sent, limit = f"{size / MEGABYTE:.1f}", f"{self.limit / MEGABYTE:.0f}"
        cause = f"{sent} MB are sent, {limit} MB are the limit"
        return UserError("E574", cause, "Start the server with a larger --upload-mb")


def told(fault: UserError) -> JSONResponse:
    """The answer that a refusal becomes: its line, and the status that fits."""
    status = STATUS.get(fault.code, NO_ROOM if fault.exit_code == DONE_IN_PART else BAD_REQUEST)
    return JSONResponse({"detail": str(fault)}, status)


def _of_user(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, UserError)
    return told(fault)


def _of_monailabel(request: Request, fault: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(getattr(fault, "msg", fault))}, BAD_REQUEST)


def _of_login(request: Request, fault: Exception) -> JSONResponse:
    """What the realm said to a login: a wrong password is no fault of the server."""
    assert isinstance(fault, requests.HTTPError)
    status = fault.response.status_code if fault.response is not None else 502
    return JSONResponse({"detail": "the login was refused"}, status if 400 <= status < 500 else 502)


def train(model: str, user: Admin, params: dict | None = None) -> dict:
    """Start a round of training."""
    known = app_instance()._trainers
    if model not in known:
        raise UserError("E571", f"there is no trainer {model!r}", did_you_mean(model, known))
    return task(app_instance().trainings.start())


def train_all(user: Admin, params: dict | None = None) -> dict:
    """Start a round of training: there is one trainer."""
    name = next(iter(app_instance()._trainers))
    return {name: {"result": train(name, user, params), "detail": None}}


def training(user: Anybody, check_if_running: bool = False, all: bool = False) -> Any:
    """The state of the training that was started last; 404 where none runs and that was asked, or none ever did."""
    trainings = app_instance().trainings
    state = trainings.newest()
    if state is None or (check_if_running and not trainings.running()):
        raise HTTPException(404, "No training is running" if check_if_running else "No training has been started")
    return [task(state)] if all else task(state)


def stop_training(user: Admin) -> Any:
    """Tell the training that is running to save and stop; it goes on when it is started again."""
    state = app_instance().trainings.stop()
    return None if state is None else task({**state, "state": "stopped"})


def ranking(user: Anybody) -> dict:
    """How far the ranking of studies is."""
    return progress(_place())


def rank(strategy: str, user: Annotator) -> dict:
    """Have studies ranked by a strategy."""
    known = app_instance()._strategies
    if strategy not in known:
        raise UserError("E395", f"unknown strategy {strategy!r}", did_you_mean(strategy, known))
    want(_place(), strategy)
    return progress(_place())


def sample(strategy: str, user: Anybody, params: dict | None = None) -> dict:
    """The study to annotate next, with its file; empty where none is left."""
    asked = checked(params or {})
    client = {"client_id": user.username} if settings.MONAI_LABEL_AUTH_ENABLE else {}
    found = app_instance().next_sample({**asked, **client, "strategy": strategy})
    if found:
        store = app_instance().datastore()
        strategies = {**store.get_image_info(found["id"]).get("strategy", {})}
        strategies[strategy] = {"ts": int(time.time()), "client_id": asked.get("client_id", user.username)}
        store.update_image_info(found["id"], {"strategy": strategies})
        found = {**store.get_image_info(found["id"]), **found}
    return dict(found)


def refused(user: Admin) -> None:
    """Checkpoints are neither given out nor taken in."""
    raise UserError("E586", "checkpoints are neither given out nor taken in here", "See the folder of the studies")


def task(state: dict) -> dict:
    """The state of a training as MONAI Label tells of its tasks."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state["started"]))
    status = STATES[state["state"]]
    return {
        "id": f"round-{state['number']}", "status": status, "start_ts": started,
        "request": {"model": _place().settings().name}, "details": state["details"], "steps": state["steps"],
        "outcome": state.get("outcome", ""), "remarks": state["remarks"],
    }  # fmt: skip


def _place() -> Workplace:
    place: Workplace = app_instance().place
    return place


OWN = (
    ("/train/{model}", train, "POST"), ("/train/", train_all, "POST"), ("/train/", training, "GET"),
    ("/train/", stop_training, "DELETE"), ("/scoring/", ranking, "GET"), ("/scoring/{strategy}", rank, "POST"),
    ("/activelearning/{strategy}", sample, "POST"), ("/model/{model}", refused, "GET"),
    ("/model/{model}", refused, "PUT"), ("/model/{model}", refused, "DELETE"),
)  # fmt: skip


def made() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """MONAI Label's app with all of that, behind the guard."""
    auth.jwt = SimpleNamespace(decode=functools.partial(jwt.decode, algorithms=ALGORITHMS))
    for module in (infer, datastore):
        module.json = SimpleNamespace(loads=parsed, dumps=json.dumps)
    pages = [route for route in app.router.routes if getattr(route, "path", None) in PAGES]
    app.router.routes[:] = []
    for path, endpoint, method in OWN:
        app.add_api_route(settings.MONAI_LABEL_API_STR + path, endpoint, methods=[method])
    for route in (route for module in (*STOCK, *WITH_LOGIN) for route in module.router.routes):
        assert isinstance(route, APIRoute)
        if route.path in NO_GPU:
            continue
        app.add_api_route(
            settings.MONAI_LABEL_API_STR + route.path, threaded(route.endpoint), methods=list(route.methods),
            response_model=route.response_model, include_in_schema=route.include_in_schema, summary=route.summary,
            tags=route.tags,
        )  # fmt: skip
    app.router.routes.extend(pages)
    app.add_exception_handler(UserError, _of_user)
    app.add_exception_handler(MONAILabelException, _of_monailabel)
    app.add_exception_handler(requests.HTTPError, _of_login)
    if not settings.MONAI_LABEL_CORS_ORIGINS:
        for middleware in app.user_middleware:
            if middleware.cls is CORSMiddleware:
                middleware.kwargs |= {"allow_origins": [], "allow_origin_regex": LOCAL}
    place = Workplace(Path(settings.MONAI_LABEL_STUDIES))
    incoming = place.folder / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # of a server that was killed
    incoming.mkdir(parents=True)
    tempfile.tempdir = str(incoming)
    pages = [str(page) for page in settings.MONAI_LABEL_CORS_ORIGINS]
    return Guard(app, place.settings().upload_mb * MEGABYTE, os.environ[BOUND], pages)


served = made()
