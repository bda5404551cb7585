{{ stage('active_room_peers', key=['id']) }}
