with stays as (
    select
        session_id,
        count(*) as joins,
        count(distinct person) as people,
        count(case when join_number > 1 then 1 end) as rejoins,
        count(case when left_early then 1 end) as left_early,
        count(case when ending = 'still in' then 1 end) as people_in,
        sum(minutes) as participant_minutes
    from {{ ref('participants') }}
    group by session_id
),

steps as (
    select session_id, joined_at as moment, 1 as step from {{ ref('participants') }} where joined_at is not null
    union all
    select session_id, present_until as moment, -1 as step from {{ ref('participants') }} where joined_at is not null
),

-- Somebody who leaves at the very moment another one joins does not overlap with them.
running as (
    select
        session_id,
        sum(step) over (
            partition by session_id order by moment, step rows between unbounded preceding and current row
        ) as people
    from steps
),

peaks as (
    select session_id, cast(max(people) as {{ dbt.type_bigint() }}) as peak_people from running group by session_id
),

recordings as (
    select
        session_id,
        count(*) as recordings,
        count(case when outcome = 'completed' then 1 end) as completed_recordings,
        count(case when outcome = 'in progress' then 1 end) as recordings_in_progress,
        sum(minutes) as recorded_minutes
    from {{ ref('recordings_enriched') }}
    where session_id is not null
    group by session_id
),

failures as (
    select
        session_id,
        count(case when type <> 'client.disconnected' then 1 end) as failures,
        count(case when type = 'client.disconnected' then 1 end) as disconnects
    from {{ ref('failures') }}
    where session_id is not null
    group by session_id
)

select
    sessions.id as session_id,
    sessions.app_id,
    sessions.room_id,
    rooms.room_name,
    rooms.region,
    rooms.template_id,
    rooms.template_name,
    coalesce(sessions.active, false) as is_live,
    sessions.created_at,
    sessions.started_at,
    sessions.stopped_at,
    cast(sessions.started_at as date) as day,
    {{ as_double('sessions.duration / 60.0') }} as minutes,
    coalesce(stays.joins, 0) as joins,
    coalesce(stays.people, 0) as people,
    coalesce(peaks.peak_people, 0) as peak_people,
    coalesce(stays.people_in, 0) as people_in,
    coalesce(stays.rejoins, 0) as rejoins,
    coalesce(stays.left_early, 0) as left_early,
    coalesce(stays.participant_minutes, 0) as participant_minutes,
    coalesce(failures.failures, 0) as failures,
    coalesce(failures.disconnects, 0) as disconnects,
    coalesce(recordings.recordings, 0) as recordings,
    coalesce(recordings.recorded_minutes, 0) as recorded_minutes,
    coalesce(rooms.is_recording_on, false) as is_recording_on,
    case
        when recordings.completed_recordings > 0 then 'recorded'
        when recordings.recordings_in_progress > 0 then 'in progress'
        when recordings.recordings > 0 then 'failed'
        when not coalesce(rooms.is_recording_on, false) then 'not asked for'
        when sessions.active then 'not yet'
        when coalesce(stays.joins, 0) = 0 then 'nobody came'
        else 'missing'
    end as recording_outcome
from {{ ref('stg_sessions') }} as sessions
left join {{ ref('rooms_enriched') }} as rooms on sessions.room_id = rooms.room_id
left join stays on sessions.id = stays.session_id
left join peaks on sessions.id = peaks.session_id
left join recordings on sessions.id = recordings.session_id
left join failures on sessions.id = failures.session_id
