-- Of all who tried to get into a call, how many joined, published something, and got through without trouble?
--
-- This query reads the events of the last 30 days, which is how long 100ms keeps them. A person is a user id,
-- or a peer id where there is no user id; events with neither are left out. The steps count the people who:
--   tried      joined (`peer.join`) or failed to join (`client.connect.failed`, `client.join.failed`);
--   joined     have a `peer.join`, whether or not they published anything afterwards;
--   published  also have a `track.add.success`;
--   no failure also have no `client.*.failed` event of any kind, including an earlier failed attempt to join;
--   no drop    also have no `client.disconnected`. The reference does not say whether a client sends that when
--              it leaves on purpose, so it is a step of its own: use the step before it if yours do.
-- Somebody who joined before the period and published during it did not try in it, and is not counted.
--
-- Parameters:
--   $since    timestamp in UTC without a zone, the first moment that counts
--   $until    timestamp in UTC without a zone, the first moment that does not
--   $room_id  text, one room; empty for all rooms
--
-- For DuckDB. Generated from templates/engagement_funnel.sql: change that, not this.

WITH events AS (
    SELECT
        coalesce(nullif(user_id, ''), nullif(peer_id, '')) AS person,
        type
    FROM analytics_events
    WHERE created_at >= CAST($since AS TIMESTAMP)
        AND created_at < CAST($until AS TIMESTAMP)
        AND coalesce(CAST($room_id AS VARCHAR), '') IN ('', room_id)
),

counted AS (
    SELECT
        person,
        count(CASE WHEN type = 'peer.join' THEN 1 END) AS joins,
        count(CASE WHEN type = 'track.add.success' THEN 1 END) AS tracks,
        count(CASE WHEN type IN ('client.connect.failed', 'client.join.failed') THEN 1 END) AS failed_joins,
        count(CASE WHEN type IN ('client.publish.failed', 'client.subscribe.failed') THEN 1 END) AS failed_later,
        count(CASE WHEN type = 'client.disconnected' THEN 1 END) AS drops
    FROM events
    WHERE person IS NOT NULL
    GROUP BY person
),

reached AS (
    SELECT
        CASE
            WHEN joins = 0 THEN 1
            WHEN tracks = 0 THEN 2
            WHEN failed_joins + failed_later > 0 THEN 3
            WHEN drops > 0 THEN 4
            ELSE 5
        END AS last_step
    FROM counted
    WHERE joins + failed_joins > 0
),

steps AS (
    SELECT 1 AS step, 'tried' AS stage
    UNION ALL
    SELECT 2 AS step, 'joined' AS stage
    UNION ALL
    SELECT 3 AS step, 'published' AS stage
    UNION ALL
    SELECT 4 AS step, 'no failure' AS stage
    UNION ALL
    SELECT 5 AS step, 'no drop' AS stage
),

totals AS (
    SELECT
        steps.step,
        steps.stage,
        count(reached.last_step) AS people
    FROM steps
    LEFT JOIN reached ON steps.step <= reached.last_step
    GROUP BY steps.step, steps.stage
)

SELECT
    step,
    stage,
    people,
    round(CAST(people AS DECIMAL(38, 9)) / nullif(max(people) OVER (), 0), 3) AS share
FROM totals
ORDER BY step;
