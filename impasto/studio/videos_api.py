"""Answer the HTTP requests about clips: uploads, and the videos that are made of them."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from impasto.pipeline.records import load_record
from impasto.studio.http_api import NO_STORE, read_json, report_errors
from impasto.studio.portable import without_paths
from impasto.studio.previews import media_type
from impasto.studio.service import StudioService
from impasto.studio.uploads import NotStoredError, printable_name
from impasto.studio.videos import POSTER, VIDEO


class VideosApi:
    """The routes of clips and videos; every handler is a method."""

    def __init__(self, service: StudioService) -> None:
        self.service = service

    def routes(self) -> list[Route]:
        """Return the routes; an error of the caller becomes JSON with status 400."""
        return [
            Route("/clips", report_errors(self.clips), methods=["GET"]),
            Route("/clips", report_errors(self.upload), methods=["POST"]),
            Route("/clips/{name}", report_errors(self.remove_clip), methods=["DELETE"]),
            Route("/clips/{name}/frame", report_errors(self.first_frame)),
            Route("/videos", report_errors(self.videos), methods=["GET"]),
            Route("/videos", report_errors(self.stylize), methods=["POST"]),
            Route("/videos/{key}/continue", report_errors(self.resume), methods=["POST"]),
            Route("/videos/{file}", report_errors(self.video), methods=["GET"]),
            Route("/videos/{key}", report_errors(self.remove_video), methods=["DELETE"]),
        ]

    async def clips(self, request: Request) -> Response:
        """Return the clips of the library, the newest first."""
        return JSONResponse({"clips": await run_in_threadpool(self.service.clips.library)}, headers=NO_STORE)

    async def upload(self, request: Request) -> Response:
        """Store the body as a clip, without keeping it in memory, and return its description."""
        clips, name, received = self.service.clips, request.query_params.get("name", "clip"), 0
        part = clips.begin()
        try:
            with part.open("wb") as file:
                async for chunk in request.stream():
                    received += len(chunk)
                    if received > clips.max_bytes:
                        limit = f"over the limit of {clips.max_bytes / 2**20:g} MiB"
                        raise ValueError(f"{printable_name(name)!r} is {limit}; give a shorter clip")
                    file.write(chunk)
        except BaseException as error:  # also where the server ends or the request is cancelled
            part.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise NotStoredError(error) from error
            raise
        stored = await run_in_threadpool(clips.add, part, name)
        return JSONResponse(clips.describe(stored))

    async def first_frame(self, request: Request) -> Response:
        """Return the first frame of a clip as a JPEG: the bytes of an upload are never sent."""
        file = self.service.clips.first_frame(request.path_params["name"])
        return FileResponse(file, headers={"cache-control": "max-age=3600"})

    async def remove_clip(self, request: Request) -> Response:
        """Delete a clip, unless a video that is not finished needs it."""
        name = request.path_params["name"]
        used = await run_in_threadpool(self.service.videos.inputs) | self.service.queue.inputs()
        await run_in_threadpool(self.service.clips.remove, name, used)
        return JSONResponse({"removed": name})

    async def videos(self, request: Request) -> Response:
        """Return all videos, the newest first."""
        return JSONResponse({"videos": await run_in_threadpool(self.service.videos.entries)}, headers=NO_STORE)

    async def stylize(self, request: Request) -> Response:
        """Submit a job that stylizes a clip and return its state."""
        fields = await read_json(request)
        key = await run_in_threadpool(self._submit, fields)
        return JSONResponse(self.service.queue.state(key).to_json(), status_code=202)

    async def resume(self, request: Request) -> Response:
        """Submit a job that stylizes the missing frames of a video and return its state."""
        key = await run_in_threadpool(self.service.queue.continue_video, request.path_params["key"])
        return JSONResponse(self.service.queue.state(key).to_json(), status_code=202)

    async def video(self, request: Request) -> Response:
        """Return a video (`.mp4`, also in parts), its record (`.json`) or one of its frames (`.jpg`)."""
        key, _, suffix = request.path_params["file"].partition(".")
        if suffix == "mp4":
            return FileResponse(self.service.videos.file(key, VIDEO), headers=NO_STORE)
        if suffix == "json":
            return JSONResponse(without_paths(load_record(self.service.videos.file(key, "video.json"))))
        if suffix == "jpg":
            data = self.service.videos.file(key, POSTER).read_bytes()
            return Response(data, media_type=media_type(data), headers=NO_STORE)
        raise ValueError(f"a video is available as mp4, jpg or json, not as {suffix[:20]!r}")

    async def remove_video(self, request: Request) -> Response:
        """Delete a video that neither waits nor runs."""
        key = request.path_params["key"]
        await run_in_threadpool(self._remove, key)
        return JSONResponse({"deleted": key})

    def _submit(self, fields: dict[str, object]) -> str:
        return self.service.queue.submit_video(self.service.video_request_from(fields))

    def _remove(self, key: str) -> None:
        self.service.videos.request(key)
        if any(state.key == key and state.is_live for state in self.service.queue.states()):
            raise ValueError("this video is being painted; stop it first")
        self.service.videos.delete(key)
