-- Which templates are in use: how many rooms use each, how many of them are open, how much are they
-- used, and what is set up to happen in them?
--
-- Rooms whose template is gone, or that never had one, share a line without a name. `open_rooms` are the
-- enabled ones. `session_hours` goes from `started_at` to `stopped_at`; a live session has no hours yet.
--
-- Parameters:
--   :'since'  timestamp in UTC without a zone, counts sessions started at or after it
--   :'until'  timestamp in UTC without a zone, counts sessions started before it
--
-- For PostgreSQL. Generated from templates/template_room_mix.sql: change that, not this.

WITH room_use AS (
    SELECT
        room_id,
        count(*) AS sessions,
        coalesce(sum(duration), 0) AS seconds
    FROM sessions
    WHERE to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' >= CAST(:'since' AS timestamp)
        AND to_timestamp(extract(epoch FROM started_at)) AT TIME ZONE 'UTC' < CAST(:'until' AS timestamp)
    GROUP BY room_id
),

known AS (
    SELECT
        id,
        name,
        (SELECT count(*) FROM jsonb_object_keys(CAST(roles AS jsonb))) AS roles
    FROM templates
),

destinations AS (
    SELECT
        template_id,
        count(*) AS destination_count
    FROM templates_destinations
    GROUP BY template_id
),

per_template AS (
    SELECT
        known.id AS template_id,
        count(rooms.id) AS rooms,
        count(CASE WHEN rooms.enabled THEN 1 END) AS open_rooms,
        count(room_use.room_id) AS used_rooms,
        coalesce(sum(room_use.sessions), 0) AS sessions,
        coalesce(sum(room_use.seconds), 0) AS seconds
    FROM known
    FULL JOIN rooms ON known.id = rooms.template_id
    LEFT JOIN room_use ON rooms.id = room_use.room_id
    GROUP BY known.id
)

SELECT
    per_template.template_id,
    known.name AS template_name,
    known.roles,
    coalesce(destinations.destination_count, 0) AS destinations,
    per_template.rooms,
    per_template.open_rooms,
    per_template.used_rooms,
    CAST(per_template.sessions AS bigint) AS sessions,
    round(CAST(per_template.seconds / 3600 AS numeric), 2) AS session_hours
FROM per_template
LEFT JOIN known ON per_template.template_id = known.id
LEFT JOIN destinations ON per_template.template_id = destinations.template_id
ORDER BY per_template.sessions DESC, per_template.rooms DESC, per_template.template_id NULLS LAST;
