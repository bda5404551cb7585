{{ config(enabled='recording_assets' in var('extra_streams')) }}

{{ stage('recording_assets', key=['id'], newest='created_at') }}
