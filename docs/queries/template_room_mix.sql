-- Which templates are in use: how many rooms hang on each, how many of them are open, how much
-- are they used, and what is set up to happen in them?
--
-- Rooms whose template is gone, or that never had one, share a line without a name.
--
-- Parameters:
--   $from   timestamp, counts sessions started at or after it
--   $until  timestamp, counts sessions started before it

WITH usage AS (
    SELECT room_id, count(*) AS sessions, coalesce(sum(CAST(duration AS DOUBLE)), 0) AS seconds
    FROM sessions
    WHERE started_at >= $from AND started_at < $until
    GROUP BY room_id
),

setup AS (
    SELECT template_id, count(*) AS destinations
    FROM templates_destinations
    GROUP BY template_id
)

SELECT
    templates.id AS template_id,
    templates.name AS template_name,
    len(json_keys(templates.roles)) AS roles,
    coalesce(setup.destinations, 0) AS destinations,
    count(rooms.id) AS rooms,
    count(rooms.id) FILTER (rooms.enabled) AS open_rooms,
    count(usage.room_id) AS used_rooms,
    CAST(coalesce(sum(usage.sessions), 0) AS BIGINT) AS sessions,
    round(coalesce(sum(usage.seconds), 0) / 3600, 2) AS session_hours
FROM templates
FULL JOIN rooms ON templates.id = rooms.template_id
LEFT JOIN usage ON rooms.id = usage.room_id
LEFT JOIN setup ON templates.id = setup.template_id
GROUP BY templates.id, templates.name, templates.roles, setup.destinations
ORDER BY sessions DESC, rooms DESC, template_id;
