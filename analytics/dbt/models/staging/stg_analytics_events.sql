{{ stage('analytics_events', key=['id'], newest='created_at') }}
