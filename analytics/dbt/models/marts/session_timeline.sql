with sessions as (
    select * from {{ ref('sessions_enriched') }}
),

stays as (
    select
        participants.*,
        case when join_number > 1 then ' (join ' || cast(join_number as {{ dbt.type_string() }}) || ')' else '' end as again
    from {{ ref('participants') }} as participants
),

moments as (
    select
        session_id, created_at as moment, 1 as turn, 'session' as kind, cast(null as {{ dbt.type_string() }}) as person,
        'The session in the room "' || coalesce(room_name, room_id, '?') || '" was created.' as sentence
    from sessions
    union all
    select
        session_id, stopped_at, 9, 'session', null,
        'The session ended after ' || coalesce({{ minutes_in_words('minutes') }}, '?') || '. People in all: '
        || cast(people as {{ dbt.type_string() }}) || ', at the same time: '
        || cast(peak_people as {{ dbt.type_string() }}) || '.'
    from sessions
    where stopped_at is not null
    union all
    select
        session_id, stopped_at, 9, 'recording', null, 'The room is set to record, and there is no recording of this session.'
    from sessions
    where recording_outcome = 'missing'
    union all
    select
        session_id, joined_at, 2, 'join', person, called || ' joined' || coalesce(' as ' || {{ filled('role') }}, '') || again || '.'
    from stays
    where joined_at is not null
    union all
    select
        session_id, left_at, 3, 'leave', person, called || ' left after ' || coalesce({{ minutes_in_words('minutes') }}, '?') || '.'
    from stays
    where left_at is not null
    union all
    select
        session_id, failed_at, 4, 'failure', person,
        called || ' ' || what || coalesce(': ' || error_name || coalesce(' (' || error_code || ')', ''), '') || coalesce(': ' || {{ filled('reason') }}, '') || '.'
    from {{ ref('failures') }}
    where session_id is not null
    union all
    select
        session_id, created_at, 5, 'event', {{ person('user_id', filled('peer_id')) }},
        {{ called(json_text('data', 'user_name'), 'user_id', 'peer_id') }}
        || case type
            when 'track.add.success' then ' published'
            when 'track.update.success' then ' changed'
            when 'track.remove.success' then ' stopped'
            when 'beam.recording.success' then ': a recording by the browser was written'
            else ': ' || type
        end
        || case
            when type like 'track.%' then
                case {{ json_text('data', 'track.source') }} when 'screen' then ' the screen (' else ' (' end
                || coalesce({{ json_text('data', 'track.type') }}, 'a track')
                || case {{ json_text('data', 'track.mute') }} when 'true' then ', muted)' else ')' end
            else ''
        end || '.'
    from {{ ref('stg_analytics_events') }}
    where session_id is not null
        and type not in ('peer.join', 'peer.leave', 'client.disconnected')
        and type not like 'client.%.failed'
    union all
    select session_id, started_at, 6, 'recording', null, 'A recording started' || coalesce(' (' || destination || ')', '') || '.'
    from {{ ref('recordings_enriched') }}
    where session_id is not null and started_at is not null
    union all
    select
        session_id, stopped_at, 7, 'recording', null,
        'A recording stopped' || coalesce(' (' || destination || ')', '') || '; it is ' || outcome || '. Finished files: '
        || cast(files as {{ dbt.type_string() }}) || '.'
    from {{ ref('recordings_enriched') }}
    where session_id is not null and stopped_at is not null
    {%- if 'webhook_events' in var('extra_streams') %}
    union all
    select session_id, left_at, 3, 'reason', person, called || ' left because of "' || reason || '".'
    from {{ ref('leave_reasons') }}
    where session_id is not null and reason <> '(none)'
    {%- endif %}
)

select
    session_id,
    row_number() over (partition by session_id order by moment, turn, sentence) as line,
    moment,
    kind,
    person,
    sentence
from moments
