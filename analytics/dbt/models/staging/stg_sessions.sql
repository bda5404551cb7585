{{ stage('sessions', key=['id'], newest='updated_at') }}
