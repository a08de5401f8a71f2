"""The Milvus backup service.

Its parts, of which each knows only those below it; api and adapters do not know one another.

    __main__     the command ``milvus-backup server``
    app          the composition root: builds everything, owns lifetimes, stops in reverse order
    settings     what the operator decides; wiring hands each part its share; telemetry is the log
    api          gRPC: servicers, mapping, the table of statuses, interceptors
    adapters     the outside, one foreign library each: S3, local files, Milvus, memory, transfers
    service      the use cases: create, restore, delete, catalog, operations, diagnostics
    ports        what the use cases need of the outside, as protocols
    domain       values and pure decisions; the standard library only
"""
