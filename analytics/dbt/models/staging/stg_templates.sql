{{ stage('templates', key=['id'], newest='updated_at') }}
