-- Which rooms and sessions were recorded, and what came out of it?
--
-- One line for each session that was recorded, with the room it belongs to. `session_started_at` and
-- `session_stopped_at` are those of the session, empty if the session is not in the table. `hours` and
-- `gigabytes` are of the primary file of each recording, not of its chats, transcripts and tracks.
--
-- Parameters:
--   $since    timestamp in UTC without a zone, counts recordings asked for at or after it
--   $until    timestamp in UTC without a zone, counts recordings asked for before it
--   $room_id  text, one room; empty for all rooms
--
-- For Snowflake. Generated from templates/recordings_by_room.sql: change that, not this.

WITH chosen AS (
    SELECT
        room_id,
        session_id,
        status,
        duration,
        size
    FROM recordings
    WHERE CAST(convert_timezone('UTC', created_at) AS TIMESTAMP_NTZ) >= CAST($since AS TIMESTAMP_NTZ)
        AND CAST(convert_timezone('UTC', created_at) AS TIMESTAMP_NTZ) < CAST($until AS TIMESTAMP_NTZ)
        AND coalesce(CAST($room_id AS VARCHAR), '') IN ('', room_id)
),

per_session AS (
    SELECT
        room_id,
        session_id,
        count(*) AS recordings,
        count(CASE WHEN status = 'completed' THEN 1 END) AS completed,
        count(CASE WHEN status = 'failed' THEN 1 END) AS failed,
        coalesce(sum(duration), 0) AS seconds,
        coalesce(sum(size), 0) AS bytes
    FROM chosen
    GROUP BY room_id, session_id
)

SELECT
    per_session.room_id,
    rooms.name AS room_name,
    per_session.session_id,
    CAST(convert_timezone('UTC', sessions.started_at) AS TIMESTAMP_NTZ) AS session_started_at,
    CAST(convert_timezone('UTC', sessions.stopped_at) AS TIMESTAMP_NTZ) AS session_stopped_at,
    per_session.recordings,
    per_session.completed,
    per_session.failed,
    round(CAST(per_session.seconds / 3600 AS NUMBER(38, 9)), 2) AS hours,
    round(CAST(CAST(per_session.bytes AS NUMBER(38, 9)) / 1000000000 AS NUMBER(38, 9)), 3) AS gigabytes
FROM per_session
LEFT JOIN rooms ON per_session.room_id = rooms.id
LEFT JOIN sessions ON per_session.session_id = sessions.id
ORDER BY per_session.room_id NULLS LAST, per_session.session_id NULLS LAST;
