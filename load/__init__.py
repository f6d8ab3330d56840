"""Load from two hundred concurrent clients: small and large imports, polls, streams and searches.

`make load` (`python -m load`) starts PostgreSQL and `commandapi serve` with two worker processes, and has clients of
many users send at one time for as long as is wanted. Every answer must be one that was promised: 2xx, or 429 and 503
with `Retry-After` where the server is beyond its capacity; every import that was accepted must end with all its rows
stored; memory must be flat and connections bounded.

`make hostile` (`python -m load.hostile`) has one user attack in every way that is known, one after the other, and tells
how long another user's ten rows take meanwhile.

    clients   what each kind of client does, in a loop
    figures   times and answers by kind; memory and connections, sampled
    hostile   the attacks' harness: what another user sees
    attacks   what an attacker does, with bodies from `bombs` over connections of `wire`, in a process `attacker`
"""
