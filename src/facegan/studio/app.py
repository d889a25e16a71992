"""The studio's server: what a browser may ask, and who answers.

Every request is small and bounded, computed in one thread beside the server, and names models, runs and jobs by the
names that the studio gave them; no path of a client's is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facegan.api import Model
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.export.page import PAGE_MODULES, html_page
from facegan.studio import faces, game, lesson, live, wire
from facegan.studio.guard import Guard
from facegan.studio.sources import Sources, UnknownSourceError
from facegan.studio.work import BusyError, Jobs, Kept, Work

MODULES = (
    *PAGE_MODULES, "page/studio_texts", "page/server_engine", "page/charts", "page/live", "page/game", "page/lesson",
    "page/photo", "page/film", "page/studio",
)  # fmt: skip
_LESSON_FACES = 2000
_PNG = {"cache-control": "private, max-age=60"}
Handler = Callable[[Request], Awaitable[Response]]


class Studio:
    """What a studio holds: sources, photographs, a thread that computes, rounds of the game, lessons."""

    def __init__(self, sources: Sources, data: Sequence[PackedDataset] = ()) -> None:
        self.sources, self.data = sources, list(data)
        self.work, self.looks, self.films, self.jobs = Work(), Work(), Work(4), Jobs()
        # Requests with bodies of megabytes that are read at a time: others wait unread.
        self.arrays, self.uploads = asyncio.Semaphore(16), asyncio.Semaphore(2)
        self.rounds = Kept[game.Round](game.MOST_ROUNDS, "this round is over: begin another")
        self.lessons = Kept[lesson.Lesson](lesson.MOST_LESSONS, "this lesson is over: begin another")
        self.page = html_page(MODULES, title="facegan studio", data={}, served=True)

    def close(self) -> None:
        for each in (self.work, self.looks, self.films, self.jobs):
            each.close()

    async def model(self, request: Request) -> Model:
        name = request.path_params["model"]
        found = await run_in_threadpool(self.sources.ready, name)
        if found is not None:
            return found
        return await self.work.run(self.sources.model, name, cost=0)

    # The page, and what it lists.

    async def home(self, request: Request) -> Response:
        return Response(self.page, media_type="text/html; charset=utf-8", headers={"cache-control": "no-cache"})

    async def listed(self, request: Request) -> Response:
        found = await run_in_threadpool(self.sources.listed)
        return wire.as_json({"sources": found, "photographs": bool(self.data)})

    async def about(self, request: Request) -> Response:
        return wire.as_json(await self.looks.run(self.sources.describe, request.path_params["model"]))

    # Faces.

    async def numbered(self, request: Request) -> Response:
        found = await wire.read_object(request)
        count = len(wire.numbers(found))
        return await self.work.run(faces.numbered, await self.model(request), found, cost=count)

    async def render(self, request: Request) -> Response:
        async with self.arrays:
            found = await wire.read_arrays(request)
            return await self.work.run(faces.render, await self.model(request), found, cost=wire.count(found))

    async def map(self, request: Request) -> Response:
        async with self.arrays:
            found, query = await wire.read_arrays(request), wire.query(request)
            cost = wire.count(found)
            return await self.work.run(faces.mapped, await self.model(request), found, query, cost=cost)

    async def directions(self, request: Request) -> Response:
        return await self.work.run(faces.directions, await self.model(request))

    async def film(self, request: Request) -> Response:
        async with self.arrays:
            found, query = await wire.read_arrays(request), wire.query(request)
            return await self.films.run(faces.film, await self.model(request), found, query)

    async def placeholder(self, request: Request) -> Response:
        seed = wire.whole_number({"seed": request.path_params["seed"]}, "seed", 0, 2**63 - 1)
        query = wire.query(request)
        name = query.get("model", next(iter(self.sources.sources)))
        model = await self.work.run(self.sources.model, name)
        known = request.headers.get("if-none-match", "")
        return await self.work.run(faces.placeholder, model, seed, {**query, "model": name}, known)

    async def photo(self, request: Request) -> Response:
        model = await self.model(request)
        if not model.style_layers:
            raise UserError(f"the recipe {model.recipe.name} has no styles, in which photos are looked for")
        async with self.uploads:
            photo = await faces.read_upload(request)
        job = self.jobs.start(lambda report: faces.invert(model, photo, report))
        return wire.as_json({"job": job.id})

    async def job(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["job"])
        if job is None:
            raise UnknownSourceError("there is no such job")
        said: dict[str, Any] = {name: getattr(job, name) for name in ("state", "what", "done", "total", "error")}
        if job.state == "done":
            said |= {name: value for name, value in job.result.items() if not isinstance(value, np.ndarray)}
        return wire.as_json(said)

    async def job_result(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["job"])
        if job is None or job.state != "done":
            raise UnknownSourceError("there is no such result")
        return wire.arrays({name: value for name, value in job.result.items() if isinstance(value, np.ndarray)})

    # Runs.

    async def run(self, request: Request) -> Response:
        run = self.sources.run(request.path_params["run"])
        return wire.as_json(await self.looks.run(live.describe_run, run))

    async def grid(self, request: Request) -> Response:
        run = self.sources.run(request.path_params["run"])
        place = wire.whole_number(request.path_params, "place", 0, 2**31)
        content = await self.looks.run(live.grid_file, run, place)
        return Response(content, media_type="image/png", headers=_PNG)

    async def fixed(self, request: Request) -> Response:
        images, scores = await self.work.run(live.fixed_faces, await self.model(request))
        return wire.arrays({"pixels": images, "scores": scores})

    async def photographs(self, request: Request) -> Response:
        model = await self.model(request)
        view = await self._view(request.path_params["model"], held_out=True)
        if view is None:
            return wire.as_json({"none": True})
        images, scores = await self.work.run(live.some_photographs, model, view)
        return wire.arrays({"pixels": images, "scores": scores})

    async def _view(self, name: str, *, held_out: bool) -> DataView | None:
        source, _ = self.sources.find(name)
        return await self.work.run(lambda: live.open_photographs(source.run, self.data, held_out=held_out))

    # The game and the lesson.

    async def begin_round(self, request: Request) -> Response:
        name = str((await wire.read_object(request)).get("model", ""))
        self.sources.find(name)
        model = await self.work.run(self.sources.model, name)
        view = await self._view(name, held_out=True)
        if view is not None:
            found = await self.work.run(game.against_photographs, name, model, view)
        else:
            snapshots = self._snapshots(name)
            if len(snapshots) < 2:
                raise UserError(
                    "the game needs photographs (facegan studio --data FOLDER), or a run with two snapshots"
                )
            early = await self.work.run(self.sources.model, f"{name.partition('@')[0]}@{snapshots[0]}")
            found = await self.work.run(game.against_snapshots, name, early, model)
        self.rounds.keep(found)
        reply = wire.arrays({"pixels": found.image_NHWC})
        reply.headers["x-round"], reply.headers["x-kind"] = found.id, found.kind
        return reply

    def _snapshots(self, name: str) -> list[int]:
        source, _ = self.sources.find(name)
        return self.sources.snapshots(source.id) if source.run is not None else []

    async def answer_round(self, request: Request) -> Response:
        found = self.rounds.get(request.path_params["round"])
        marked = (await wire.read_object(request)).get("made")
        if not isinstance(marked, list):
            raise UserError("made: give the places of the faces that are made")

        def result() -> dict[str, Any]:
            name = found.model.partition("@")[0]
            shown = game.some_of(self._snapshots(name))
            names = [f"{name}@{nimg}" for nimg in shown] or [found.model]
            models = [self.sources.model(each) for each in names]
            return game.answered(found, marked, [(model.nimg, model) for model in models])

        return wire.as_json(await self.work.run(result))

    async def begin_lesson(self, request: Request) -> Response:
        name = str((await wire.read_object(request)).get("model", ""))
        self.sources.find(name)
        view = await self._view(name, held_out=False)

        def begin() -> lesson.Lesson:
            if view is None or view.resolution & (view.resolution - 1) or view.resolution < 16:
                made = self.sources.model("celeba64").sample(512, seed=1, truncation=0.7)
                return lesson.Lesson(made, 0, "celeba64")
            return lesson.Lesson(view.images(np.arange(min(len(view), _LESSON_FACES))), 0)

        found = await self.work.run(begin)
        self.lessons.keep(found)
        return await self.work.run(_lesson_reply, found)

    async def act_lesson(self, request: Request) -> Response:
        found = self.lessons.get(request.path_params["lesson"])
        action = str((await wire.read_object(request)).get("action", ""))

        def act() -> Response:
            found.act(action)
            return _lesson_reply(found)

        return await self.work.run(act)

    async def see_lesson(self, request: Request) -> Response:
        return await self.work.run(_lesson_reply, self.lessons.get(request.path_params["lesson"]))

    async def lesson_history(self, request: Request) -> Response:
        return wire.as_json({"history": self.lessons.get(request.path_params["lesson"]).history})


def _lesson_reply(found: lesson.Lesson) -> Response:
    images, scores = found.faces()
    reply = wire.arrays({"pixels": images, "scores": scores})
    reply.headers["x-lesson"], reply.headers["x-steps"] = found.id, str(found.steps)
    reply.headers["x-real"] = found.source
    return reply


def _answers(handler: Handler) -> Handler:
    """Return a handler whose errors become replies: a client's mistake never stops the studio."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except UnknownSourceError as error:
            return wire.failure(404, str(error))
        except wire.TooLargeError as error:
            return wire.failure(413, str(error), connection="close")
        except BusyError as error:
            return wire.failure(503, str(error), **{"retry-after": "1"})
        except (UserError, OSError) as error:
            return wire.failure(400, str(error))

    return answered


def create_app(studio: Studio, *, port: int, token: str | None = None) -> Starlette:
    """Return the server of a studio. ``token``: see ``Guard``."""

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, _answers(handler), methods=[method])

    routes = [
        route("/", studio.home),
        route("/face/{seed}.png", studio.placeholder),
        route("/api/sources", studio.listed),
        route("/api/models/{model}", studio.about),
        route("/api/models/{model}/faces", studio.numbered, "POST"),
        route("/api/models/{model}/render", studio.render, "POST"),
        route("/api/models/{model}/map", studio.map, "POST"),
        route("/api/models/{model}/film", studio.film, "POST"),
        route("/api/models/{model}/photo", studio.photo, "POST"),
        route("/api/models/{model}/directions", studio.directions),
        route("/api/models/{model}/fixed", studio.fixed),
        route("/api/models/{model}/photographs", studio.photographs),
        route("/api/jobs/{job}", studio.job),
        route("/api/jobs/{job}/result", studio.job_result),
        route("/api/runs/{run}", studio.run),
        route("/api/runs/{run}/grids/{place}", studio.grid),
        route("/api/rounds", studio.begin_round, "POST"),
        route("/api/rounds/{round}", studio.answer_round, "POST"),
        route("/api/lessons", studio.begin_lesson, "POST"),
        route("/api/lessons/{lesson}", studio.act_lesson, "POST"),
        route("/api/lessons/{lesson}", studio.see_lesson),
        route("/api/lessons/{lesson}/history", studio.lesson_history),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        yield
        studio.close()

    return Starlette(routes=routes, middleware=[Middleware(Guard, port=port, token=token)], lifespan=lifespan)
