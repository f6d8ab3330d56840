"""Breaks a running Command API in every way a machine, a network or an operator can, and checks that nothing is lost.

`make chaos` (`python -m chaos`) starts a real PostgreSQL, the API and workers as processes, and proxies between them.
Clients send imports whose every row is known; an application enqueues jobs in transactions. Meanwhile faults are
injected. At the end a checker holds every row, count, error, status and job against what was sent.

    options             how long, which faults, how much, which seed
    contents            imports with known rows, and what must become of each
    clients             who sends them, again where the answer was lost, and follows them
    jobs, application   the application that enqueues jobs, and its workers' tasks
    nursery, fleet      processes of the API and of workers
    database, proxy     PostgreSQL in a folder of its own; connections that can be cut, delayed and black-holed
    faults, injector    what goes wrong, and when
    checker, ledger     what was promised, and whether it was kept
    report              the table
"""
