with events as (
    select
        id as event_id,
        created_at as failed_at,
        type,
        {{ filled('session_id') }} as session_id,
        {{ filled('room_id') }} as room_id,
        {{ filled('peer_id') }} as peer_id,
        {{ filled('user_id') }} as user_id,
        {{ person('user_id', filled('peer_id')) }} as person,
        {{ called(json_text('data', 'user_name'), 'user_id', 'peer_id') }} as called,
        {{ json_text('data', 'error.name') }} as error_name,
        {{ json_text('data', 'error.code') }} as error_code,
        coalesce({{ json_text('data', 'error.description') }}, {{ json_text('data', 'reason') }}) as reason,
        {{ json_text('data', 'error.is_terminal') }} = 'true' as is_terminal
    from {{ ref('stg_analytics_events') }}
    where type like 'client.%.failed' or type = 'client.disconnected'
)

select
    events.*,
    case events.type
        when 'client.connect.failed' then 'could not connect'
        when 'client.join.failed' then 'could not join'
        when 'client.publish.failed' then 'could not publish'
        when 'client.subscribe.failed' then 'could not receive'
        when 'client.disconnected' then 'was disconnected'
        else events.type
    end as what,
    rooms.room_name,
    rooms.region,
    rooms.template_id,
    rooms.template_name
from events
left join {{ ref('rooms_enriched') }} as rooms on events.room_id = rooms.room_id
