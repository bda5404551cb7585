{{ config(enabled='session_peers' in var('extra_streams')) }}

{{ stage('session_peers', key=['session_id', 'id'], newest='updated_at') }}
