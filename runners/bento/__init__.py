"""All uses of private parts of BentoML, circus, Uvicorn and h11. Other packages use public interfaces only.

BentoML is pinned. Read this table before an upgrade: `tests/unit/runners/bento/test_contract.py` names each part that
has changed. `install` and `supervise` apply all replacements.

Replaced, because there is no setting; with the reason, and the symptom after an incompatible upgrade:

- dispatch.py: `_bentoml_impl.server.app.CorkDispatcher`, the batching. Calls wait for others that do not come, and
  polling takes CPU from inference. Under another name: a worker exits on start.
- supervision.py: `bentoml._internal.utils.circus.Arbiter`, the supervisor, and its names for workers and sockets.
  Hanging workers stay, SIGTERM breaks requests, a TCP port accepts commands. Other names: the server exits on start.
- supervision.py: `_bentoml_impl.server.serving.IS_WSL` and BENTOML_NO_UDS, which put runners, which read pickles, on
  TCP ports. Removed: an error on start, or an extra port (tests/service/test_sockets.py).
- protocol.py, framing.py: `uvicorn.Config` gets `http=`; h11's `_receive_buffer`; `conn`, `cycle` and `_should_upgrade`
  of Uvicorn's `H11Protocol`. Headers have no timeout, ambiguous requests are accepted. Unused: a worker exits on start.
  Changed: an error on each connection (tests/unit/runners/bento/test_protocol.py).
- install.py: `BentoMLContainer.tracer_provider` and `.tracing_excluded_urls`. BentoML's own spans have wrong parents.
  Removed: an error on start, or duplicate spans (tests/service/test_tracing.py).
- install.py: a filter on the logger of `bentoml._internal.server.http_app`, by the code of `IOMixin.from_http_request`.
  Each malformed body would log a traceback of forty lines. Removed: an error on start; not called: the tracebacks.

Used elsewhere; documented, or part of HTTP:

- service.py: `Service.openapi_spec` and `Service.bento.tag`; adapters/http/openapi.py completes the document.
- service.py, runners/serving/services.py: `is_ready` and `to_async` of a dependency, `__is_ready__`, `__is_alive__`.
- adapters/http/gateway.py, routes.py: the paths of probes and of the files of the Swagger UI.
- adapters/http/errors.py: the shapes of BentoML's errors.
- `server_context.worker_index` and `.service_type`: the kind of this worker.
"""
