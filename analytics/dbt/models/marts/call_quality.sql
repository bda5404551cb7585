{{ config(enabled='peer_quality' in var('extra_streams')) }}

with measured as (
    select
        session_id,
        peer_id,
        room_id,
        min(started_at) as started_at,
        count(*) as tracks,
        {{ total('samples') }} as samples,
        {{ as_double(mean_of('publish', 'packet_loss_percent')) }} as sent_loss_percent,
        {{ as_double(mean_of('subscribe', 'packet_loss_percent')) }} as received_loss_percent,
        {{ as_double('max(rtt_ms_p95)') }} as rtt_ms_p95
    from {{ ref('stg_peer_quality') }}
    group by session_id, peer_id, room_id
)

select
    measured.session_id || ':' || measured.peer_id as stay_id,
    measured.session_id,
    measured.peer_id,
    stays.person,
    stays.called,
    measured.room_id,
    rooms.room_name,
    rooms.region,
    measured.started_at,
    measured.tracks,
    measured.samples,
    measured.sent_loss_percent,
    measured.received_loss_percent,
    measured.rtt_ms_p95,
    case
        when coalesce(sent_loss_percent, received_loss_percent, rtt_ms_p95) is null then 'unknown'
        when sent_loss_percent > 5 or received_loss_percent > 5 or rtt_ms_p95 > 500 then 'poor'
        when sent_loss_percent > 2 or received_loss_percent > 2 or rtt_ms_p95 > 250 then 'fair'
        else 'good'
    end as quality
from measured
left join {{ ref('participants') }} as stays
    on measured.session_id = stays.session_id and measured.peer_id = stays.peer_id
left join {{ ref('rooms_enriched') }} as rooms on measured.room_id = rooms.room_id
