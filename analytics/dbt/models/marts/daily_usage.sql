-- The people of a day cannot be added up from sessions, because somebody may be in several.
with people as (
    select
        cast(session_started_at as date) as day,
        app_id,
        room_id,
        count(distinct person) as people
    from {{ ref('participants') }}
    group by 1, 2, 3
),

usage as (
    select
        day,
        app_id,
        room_id,
        max(room_name) as room_name,
        max(region) as region,
        max(template_id) as template_id,
        max(template_name) as template_name,
        count(*) as sessions,
        count(case when is_live then 1 end) as live_sessions,
        {{ total('joins') }} as joins,
        coalesce(sum(minutes), 0) as session_minutes,
        sum(participant_minutes) as participant_minutes
    from {{ ref('sessions_enriched') }}
    group by day, app_id, room_id
)

select
    usage.*,
    coalesce(people.people, 0) as people
from usage
left join people
    on usage.day = people.day
    and coalesce(usage.app_id, '') = coalesce(people.app_id, '')
    and coalesce(usage.room_id, '') = coalesce(people.room_id, '')
