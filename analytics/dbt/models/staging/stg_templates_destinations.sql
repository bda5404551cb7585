{{ stage('templates_destinations', key=['template_id', 'destination_type', 'id']) }}
