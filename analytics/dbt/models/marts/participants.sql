with sessions as (
    select
        id as session_id,
        room_id,
        app_id,
        coalesce(active, false) as session_is_live,
        started_at as session_started_at,
        stopped_at as session_stopped_at,
        updated_at,
        peers
    from {{ ref('stg_sessions') }}
),

stays as (
    {{ unnest_objects(
        'sessions', 'peers',
        keep=['session_id', 'room_id', 'app_id', 'session_is_live', 'session_started_at', 'session_stopped_at'],
        members={'id': 'text', 'user_id': 'text', 'name': 'text', 'role': 'text', 'joined_at': 'timestamp', 'left_at': 'timestamp'},
        rename={'id': 'peer_id'},
    ) }}
),

-- The newest moment that the data know of stands for now.
moments as (
    select max(updated_at) as moment from sessions
    union all
    select max(joined_at) as moment from stays
    union all
    select max(left_at) as moment from stays
),

clock as (
    select max(moment) as as_of from moments
),

ended as (
    select
        stays.*,
        {{ person('user_id', 'peer_id') }} as person,
        coalesce(left_at, session_stopped_at, as_of) as last_seen_at
    from stays
    cross join clock
),

measured as (
    select
        ended.*,
        case when last_seen_at < joined_at then joined_at else last_seen_at end as present_until
    from ended
)

select
    measured.session_id || ':' || measured.peer_id as stay_id,
    measured.session_id,
    measured.peer_id,
    measured.person,
    {{ filled('measured.user_id') }} as user_id,
    {{ called('measured.name', 'measured.user_id', 'measured.peer_id') }} as called,
    measured.role,
    measured.app_id,
    measured.room_id,
    rooms.room_name,
    rooms.region,
    rooms.template_id,
    rooms.template_name,
    measured.session_started_at,
    measured.joined_at,
    measured.left_at,
    measured.present_until,
    case
        when measured.left_at is not null then 'left'
        when measured.session_is_live then 'still in'
        else 'session ended'
    end as ending,
    {{ minutes_between('measured.joined_at', 'measured.present_until') }} as minutes,
    row_number() over (
        partition by measured.session_id, measured.person order by measured.joined_at, measured.peer_id
    ) as join_number,
    coalesce(
        measured.left_at is not null
        and {{ seconds_between('measured.joined_at', 'measured.left_at') }} < {{ var('early_exit_seconds') }},
        false
    ) as left_early
from measured
left join {{ ref('rooms_enriched') }} as rooms on measured.room_id = rooms.room_id
