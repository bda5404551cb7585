-- In what state are the recordings?
--
-- A recording counts by `created_at`, the moment it was asked for. `hours` is the length of the primary
-- files, which only completed recordings have.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, the first moment that counts",
    until="timestamp in UTC without a zone, the first moment that does not",
) }}

WITH chosen AS (
    SELECT
        status,
        duration
    FROM recordings
    WHERE {{ sql.within("created_at") | indent(4) }}
)

SELECT
    status,
    count(*) AS recordings,
    {{ sql.share("count(*)", "sum(count(*)) OVER ()") }} AS share,
    {{ sql.rounded("coalesce(sum(duration), 0) / 3600", 2) }} AS hours
FROM chosen
GROUP BY status
ORDER BY recordings DESC, status;
