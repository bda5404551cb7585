{{ stage('recordings', key=['id'], newest='updated_at') }}
