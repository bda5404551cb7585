{{ config(enabled='live_streams' in var('extra_streams')) }}

{{ stage('live_streams', key=['id'], newest='updated_at') }}
