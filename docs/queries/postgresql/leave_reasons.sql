-- Why did people leave?
--
-- Read from `peer.leave.success` of the stream `webhook_events`, which holds what 100ms told the workspace's
-- webhook in the last 30 days; it is one of the extra streams and empty where no webhook is set up. An event
-- may have been delivered more than once, or not at all (`delivery` is `failed`), and still tells why its
-- peer left: each peer counts once, by the newest of its events. `people` are different users, or peers
-- where there is no user id.
--
-- Parameters:
--   :'since'    timestamp in UTC without a zone, the first moment that counts
--   :'until'    timestamp in UTC without a zone, the first moment that does not
--   :'room_id'  text, one room; empty for all rooms
--
-- For PostgreSQL. Generated from templates/leave_reasons.sql: change that, not this.

WITH told AS (
    SELECT
        coalesce(peer_id, id) AS peer_id,
        coalesce(nullif(user_id, ''), peer_id, id) AS person,
        coalesce(nullif(data ->> 'reason', ''), '(none)') AS reason,
        row_number() OVER (PARTITION BY coalesce(peer_id, id) ORDER BY created_at DESC, id) AS place
    FROM webhook_events
    WHERE type = 'peer.leave.success'
        AND to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM created_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
        AND coalesce(CAST(:'room_id' AS text), '') IN ('', room_id)
)

SELECT
    reason,
    count(*) AS leaves,
    count(DISTINCT person) AS people,
    round(CAST(count(*) AS numeric) / nullif(sum(count(*)) OVER (), 0), 3) AS share
FROM told
WHERE place = 1
GROUP BY reason
ORDER BY leaves DESC, reason;
