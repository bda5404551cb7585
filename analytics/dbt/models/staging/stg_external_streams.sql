{{ config(enabled='external_streams' in var('extra_streams')) }}

{{ stage('external_streams', key=['id'], newest='updated_at') }}
