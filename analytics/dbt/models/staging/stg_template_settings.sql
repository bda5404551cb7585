{{ stage('template_settings', key=['template_id'], newest='updated_at') }}
