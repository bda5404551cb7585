with stays as (
    select
        room_id,
        count(*) as joins,
        count(distinct person) as people,
        sum(minutes) as participant_minutes,
        count(case when ending = 'left' then 1 end) as leaves,
        count(case when left_early then 1 end) as left_early,
        {{ percentile("case when ending = 'left' then minutes end", 0.5) }} as median_minutes
    from {{ ref('participants') }}
    group by room_id
),

sessions as (
    select
        room_id,
        count(*) as sessions,
        count(case when joins > 0 then 1 end) as sessions_with_people,
        min(started_at) as first_session_at,
        max(started_at) as last_session_at
    from {{ ref('sessions_enriched') }}
    group by room_id
)

select
    rooms.room_id,
    rooms.room_name,
    rooms.is_enabled,
    rooms.region,
    rooms.template_id,
    rooms.template_name,
    coalesce(sessions.sessions, 0) as sessions,
    coalesce(sessions.sessions_with_people, 0) as sessions_with_people,
    coalesce(stays.joins, 0) as joins,
    coalesce(stays.people, 0) as people,
    coalesce(stays.participant_minutes, 0) as participant_minutes,
    stays.median_minutes,
    coalesce(stays.left_early, 0) as left_early,
    {{ share('stays.left_early', 'stays.leaves') }} as early_share,
    sessions.first_session_at,
    sessions.last_session_at
from {{ ref('rooms_enriched') }} as rooms
left join sessions on rooms.room_id = sessions.room_id
left join stays on rooms.room_id = stays.room_id
