{{ config(enabled='peer_quality' in var('extra_streams')) }}

{{ stage('peer_quality', key=['session_id', 'peer_id', 'direction', 'kind', 'track_id', 'rid'], newest='session_ended_at') }}
