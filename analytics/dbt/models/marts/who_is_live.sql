-- A loader that merges keeps the rows of people who have left. So only what the last sync wrote counts, and
-- of that nobody of whom the sessions say that they, or their session, have ended.
with peers as (
    select
        peers.*,
        max(extracted_at) over () as last_extracted_at,
        row_number() over (partition by id order by extracted_at desc) as place
    from {{ ref('stg_active_room_peers') }} as peers
)

select
    peers.id as peer_id,
    peers.session_id,
    peers.room_id,
    rooms.room_name,
    rooms.region,
    rooms.template_id,
    rooms.template_name,
    {{ person('peers.user_id', 'peers.id') }} as person,
    {{ called('peers.name', 'peers.user_id', 'peers.id') }} as called,
    peers.role,
    peers.joined_at,
    sessions.started_at as session_started_at,
    peers.extracted_at as seen_at
from peers
left join {{ ref('stg_sessions') }} as sessions on peers.session_id = sessions.id
left join {{ ref('participants') }} as stays on peers.session_id = stays.session_id and peers.id = stays.peer_id
left join {{ ref('rooms_enriched') }} as rooms on peers.room_id = rooms.room_id
where peers.place = 1
    and (
        last_extracted_at is null
        or {{ seconds_between('peers.extracted_at', 'last_extracted_at') }} <= {{ var('snapshot_seconds') }}
    )
    and coalesce(sessions.active, true)
    and stays.left_at is null
