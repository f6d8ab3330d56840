"""The SQL statements on API keys. The application's tables are in the schema `public`, whatever a search path says."""

from typing import Final

_KEY_COLUMNS: Final = "id, key_index, description, scopes, created_at, expires_at, last_used_at, revoked_at"

# A revoked key is read like any other, so that refusing it costs what accepting it does.
SELECT_FOR_VERIFICATION: Final = """
    SELECT id, user_id, secret_hash, scopes,
           revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()),
           last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute'
               OR NOT %(address)s::text = ANY (addresses)
    FROM public.api_keys WHERE key_index = %(key_index)s
"""

# Written at most once a minute and key, and for each address that is new. A crash may lose it, so it does not wait for
# the disk: the setting holds for this statement's own transaction, its commit included. SKIP LOCKED: of several
# requests at once, one writes. The first address is not news.
NOTE_USE: Final = """
    WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
         used AS (
             SELECT k.id, k.user_id, NOT coalesce(%(address)s::text = ANY (k.addresses), true) AS is_new_address
             FROM public.api_keys k, unhurried
             WHERE k.key_index = %(key_index)s
             FOR UPDATE OF k SKIP LOCKED
         ),
         audited AS (
             INSERT INTO bulkport.audit (actor, action, target, outcome)
             SELECT used.user_id || ' (key ' || used.id || ')', 'keys/new-address', 'key ' || used.id,
                    'Used from ' || %(address)s::text
             FROM used JOIN public.api_keys k USING (id) WHERE is_new_address AND cardinality(k.addresses) > 0
         )
    UPDATE public.api_keys k SET
        last_used_at = clock_timestamp(),
        addresses = CASE WHEN is_new_address
            THEN (ARRAY[%(address)s::text] || k.addresses)[:20] ELSE k.addresses END
    FROM used WHERE k.id = used.id
"""

# A bucket fills at `rate` tokens a second up to `most`; of what is in it, `wanted` are taken, or all there are.
_FILLED: Final = """
    least(%(most)s, a.remaining + %(rate)s * greatest(0, extract(epoch FROM now() - a.at)))
"""
TAKE_REQUESTS: Final = f"""
    INSERT INTO public.request_allowances AS a (user_id, remaining, taken, at)
    VALUES (%(user_id)s, %(most)s - %(wanted)s, %(wanted)s, now())
    ON CONFLICT (user_id) DO UPDATE SET
        remaining = {_FILLED} - least(floor({_FILLED}), %(wanted)s),
        taken = least(floor({_FILLED}), %(wanted)s),
        at = greatest(a.at, now())
    RETURNING taken, remaining
"""

INSERT_KEY: Final = f"""
    INSERT INTO public.api_keys (key_index, secret_hash, user_id, description, scopes, expires_at)
    VALUES (%s, %b, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
    RETURNING {_KEY_COLUMNS}
"""

# Taken before keys are counted, so that two requests of one user cannot both find room for the last key.
LOCK_USER: Final = "SELECT pg_advisory_xact_lock(hashtextextended('commandapi.api_keys:' || %s, 0))"

COUNT_LIVE_KEYS: Final = """
    SELECT count(*) FROM public.api_keys
    WHERE user_id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""

# Whatever comes first: a key that expires sooner is not made to live longer.
EXPIRE_KEY: Final = """
    UPDATE public.api_keys SET expires_at = least(expires_at, clock_timestamp() + make_interval(secs => %s))
    WHERE id = %s AND user_id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
    RETURNING description, scopes
"""

DELETE_KEYS: Final = """
    WITH forgotten AS (DELETE FROM public.request_allowances WHERE user_id = %(user_id)s)
    DELETE FROM public.api_keys WHERE user_id = %(user_id)s
"""

SELECT_KEY: Final = f"SELECT {_KEY_COLUMNS} FROM public.api_keys WHERE id = %s AND user_id = %s"

SELECT_KEYS: Final = f"""
    SELECT {_KEY_COLUMNS} FROM public.api_keys
    WHERE user_id = %(user_id)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
    ORDER BY id DESC LIMIT %(limit)s
"""

REVOKE_KEY: Final = """
    UPDATE public.api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp())
    WHERE id = %s AND user_id = %s
    RETURNING id
"""
