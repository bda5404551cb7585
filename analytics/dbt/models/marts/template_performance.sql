with seen as (
    select id as template_id from {{ ref('stg_templates') }}
    union distinct
    select coalesce(template_id, '(none)') as template_id from {{ ref('rooms_enriched') }}
),

rooms as (
    select
        coalesce(template_id, '(none)') as template_id,
        count(*) as rooms,
        count(case when is_enabled then 1 end) as open_rooms
    from {{ ref('rooms_enriched') }}
    group by 1
),

sessions as (
    select
        coalesce(template_id, '(none)') as template_id,
        count(*) as sessions,
        count(distinct room_id) as used_rooms,
        coalesce(sum(minutes), 0) / 60.0 as session_hours,
        {{ total('failures') }} as failures,
        {{ total('disconnects') }} as disconnects,
        count(case when recording_outcome = 'missing' then 1 end) as missing_recordings
    from {{ ref('sessions_enriched') }}
    group by 1
),

stays as (
    select
        coalesce(template_id, '(none)') as template_id,
        count(*) as joins,
        count(distinct person) as people,
        {{ percentile("case when ending = 'left' then minutes end", 0.5) }} as median_minutes,
        {{ share('count(case when left_early then 1 end)', "count(case when ending = 'left' then 1 end)") }} as early_share
    from {{ ref('participants') }}
    group by 1
),

recordings as (
    select
        coalesce(template_id, '(none)') as template_id,
        count(*) as recordings,
        {{ share("count(case when outcome = 'completed' then 1 end)", "count(case when outcome <> 'in progress' then 1 end)") }} as recording_success
    from {{ ref('recordings_enriched') }}
    group by 1
),

destinations as (
    select template_id, count(*) as destinations
    from {{ ref('stg_templates_destinations') }}
    group by template_id
)

select
    seen.template_id,
    templates.name as template_name,
    case when templates.roles is not null then {{ json_size('templates.roles') }} end as roles,
    coalesce(destinations.destinations, 0) as destinations,
    coalesce(rooms.rooms, 0) as rooms,
    coalesce(rooms.open_rooms, 0) as open_rooms,
    coalesce(sessions.used_rooms, 0) as used_rooms,
    coalesce(sessions.sessions, 0) as sessions,
    coalesce(sessions.session_hours, 0) as session_hours,
    coalesce(stays.joins, 0) as joins,
    coalesce(stays.people, 0) as people,
    stays.median_minutes,
    stays.early_share,
    coalesce(sessions.failures, 0) as failures,
    coalesce(sessions.disconnects, 0) as disconnects,
    coalesce(recordings.recordings, 0) as recordings,
    recordings.recording_success,
    coalesce(sessions.missing_recordings, 0) as missing_recordings
from seen
left join {{ ref('stg_templates') }} as templates on seen.template_id = templates.id
left join rooms on seen.template_id = rooms.template_id
left join sessions on seen.template_id = sessions.template_id
left join stays on seen.template_id = stays.template_id
left join recordings on seen.template_id = recordings.template_id
left join destinations on seen.template_id = destinations.template_id
