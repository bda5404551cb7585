-- Rows that were written within `snapshot_seconds` of each other were read by one sync.
with seen as (
    select
        id,
        room_id,
        {{ person('user_id', 'id') }} as person,
        extracted_at,
        lag(extracted_at) over (order by extracted_at) as extracted_before
    from {{ ref('stg_active_room_peers') }}
    where extracted_at is not null
),

numbered as (
    select
        seen.*,
        sum(case when {{ seconds_between('extracted_before', 'extracted_at') }} < {{ var('snapshot_seconds') }} then 0 else 1 end)
            over (order by extracted_at rows between unbounded preceding and current row) as snapshot
    from seen
)

select
    min(extracted_at) as seen_at,
    count(distinct id) as joins,
    count(distinct person) as people,
    count(distinct room_id) as rooms
from numbered
group by snapshot
