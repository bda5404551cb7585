-- Somebody who joined before a day and published on it did not try to get in on that day, and is not counted.
with events as (
    select
        cast(created_at as date) as day,
        {{ filled('room_id') }} as room_id,
        {{ person('user_id', filled('peer_id')) }} as person,
        type
    from {{ ref('stg_analytics_events') }}
),

counted as (
    select
        day,
        room_id,
        person,
        count(case when type = 'peer.join' then 1 end) as joins,
        count(case when type in ('client.connect.failed', 'client.join.failed') then 1 end) as failed_joins,
        count(case when type = 'track.add.success' then 1 end) as tracks,
        count(case when type like 'client.%.failed' then 1 end) as failures,
        count(case when type = 'client.disconnected' then 1 end) as disconnects
    from events
    where person is not null
    group by day, room_id, person
)

select
    counted.day,
    counted.room_id,
    rooms.room_name,
    rooms.template_id,
    rooms.template_name,
    counted.person,
    counted.joins,
    counted.failed_joins,
    counted.tracks,
    counted.failures,
    counted.disconnects,
    case
        when joins = 0 then 1
        when tracks = 0 then 2
        when failures > 0 then 3
        when disconnects > 0 then 4
        else 5
    end as last_step
from counted
left join {{ ref('rooms_enriched') }} as rooms on counted.room_id = rooms.room_id
where joins + failed_joins > 0
