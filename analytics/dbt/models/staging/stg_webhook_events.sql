{{ config(enabled='webhook_events' in var('extra_streams')) }}

{{ stage('webhook_events', key=['id'], newest='created_at') }}
