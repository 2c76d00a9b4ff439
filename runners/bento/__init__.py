"""Every use of private parts of BentoML, circus, Uvicorn and h11. All else uses what they document.

BentoML is pinned to one version. Before another, read this table; `tests/unit/runners/bento/test_contract.py` fails by
name when a part has changed. `install` and `supervise` put everything in place.

Replaced, since there is no setting for it:

- dispatch.py: `_bentoml_impl.server.app.CorkDispatcher`, the batching. A call waits for others that do not come, and
  polling takes CPU from the network. An upgrade may build it from another name: a worker then ends at its start.
- supervision.py: `bentoml._internal.utils.circus.Arbiter`, the supervisor, and its names for workers and sockets.
  Workers that hang stay, SIGTERM breaks requests, a TCP port takes commands. Other names: the server ends at its start.
- supervision.py: `_bentoml_impl.server.serving.IS_WSL` and BENTOML_NO_UDS, which put runners, which read pickles, on
  TCP ports. Gone: an error at the start, or a port more (tests/service/test_sockets.py).
- protocol.py, framing.py: `uvicorn.Config` gets `http=`; h11's `_receive_buffer`; `conn`, `cycle` and `_should_upgrade`
  of Uvicorn's `H11Protocol`. Headers are waited for without limit, ambiguous requests are read. Not used: a worker ends
  at its start. Changed: an error at each connection (tests/unit/runners/bento/test_protocol.py).
- install.py: `BentoMLContainer.tracer_provider` and `.tracing_excluded_urls`. BentoML's own spans have wrong parents.
  Gone: an error at the start, or each span twice (tests/service/test_tracing.py).
- install.py: a filter on the logger of `bentoml._internal.server.http_app`, by the code of `IOMixin.from_http_request`.
  Each malformed body would log a traceback of forty lines. Gone: an error at the start; not called: the tracebacks.

Read, elsewhere, and documented or part of HTTP:

- service.py: `Service.openapi_spec` and `Service.bento.tag`; adapters/http/openapi.py completes the document.
- service.py, runners/serving/services.py: `is_ready` and `to_async` of a dependency, `__is_ready__`, `__is_alive__`.
- adapters/http/gateway.py, routes.py: the paths of probes and of the files of the Swagger UI.
- adapters/http/errors.py: the shapes of BentoML's errors.
- `server_context.worker_index` and `.service_type`: which kind of worker this is.
"""
