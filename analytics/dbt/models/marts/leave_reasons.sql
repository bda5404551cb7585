{{ config(enabled='webhook_events' in var('extra_streams')) }}

-- An event may have been delivered more than once, or not at all: the newest one tells why its peer left.
with told as (
    select
        coalesce(peer_id, id) as peer_id,
        session_id,
        room_id,
        created_at as left_at,
        {{ filled('user_id') }} as user_id,
        {{ person('user_id', 'coalesce(peer_id, id)') }} as person,
        {{ called(json_text('data', 'user_name'), 'user_id', 'peer_id') }} as called,
        coalesce({{ filled(json_text('data', 'reason')) }}, '(none)') as reason,
        row_number() over (partition by coalesce(peer_id, id) order by created_at desc, id) as place
    from {{ ref('stg_webhook_events') }}
    where type = 'peer.leave.success'
)

select
    told.peer_id,
    told.session_id,
    told.room_id,
    rooms.room_name,
    told.left_at,
    told.user_id,
    told.person,
    told.called,
    told.reason
from told
left join {{ ref('rooms_enriched') }} as rooms on told.room_id = rooms.room_id
where place = 1
