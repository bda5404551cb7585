{{ stage('rooms', key=['id'], newest='updated_at') }}
