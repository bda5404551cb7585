//! Who works and learns at the company.

/// Tutors, each with the subject and the region of their room.
pub(super) const TUTORS: [(&str, &str, &str); 26] = [
    ("Anna Keller", "Maths", "eu"),
    ("Marco Conti", "Physics", "eu"),
    ("Priya Menon", "Chemistry", "in"),
    ("James Okoro", "English", "eu"),
    ("Sofie Janssens", "French", "eu"),
    ("Daniel Weiss", "Maths", "eu"),
    ("Leila Haddad", "Biology", "eu"),
    ("Tomas Herrera", "Spanish", "us"),
    ("Grace Liu", "Maths", "us"),
    ("Erik Lund", "Programming", "eu"),
    ("Nisha Patel", "Physics", "in"),
    ("Paul Nowak", "History", "eu"),
    ("Clara Martin", "German", "eu"),
    ("Arjun Das", "Economics", "in"),
    ("Emily Carter", "English", "us"),
    ("Hugo Silva", "Geography", "eu"),
    ("Alice Moreno", "Spanish", "us"),
    ("Jan Visser", "Physics", "eu"),
    ("Meera Iyer", "Maths", "in"),
    ("Karl Berger", "Chemistry", "eu"),
    ("Rachel Stone", "Biology", "us"),
    ("Peter Holm", "Maths", "eu"),
    ("Camille Roux", "French", "eu"),
    ("David Okafor", "Economics", "eu"),
    ("Laura Bianchi", "Latin", "eu"),
    ("Kenji Mori", "Programming", "us"),
];

/// Tutors who start while one looks on.
pub(super) const NEWCOMERS: [(&str, &str, &str); 6] = [
    ("Lucia Ferri", "Italian", "eu"),
    ("Omar Farouk", "Arabic", "eu"),
    ("Julia Berg", "Music", "eu"),
    ("Ravi Kumar", "Statistics", "in"),
    ("Hannah Cole", "Drama", "us"),
    ("Pierre Blanc", "Philosophy", "eu"),
];

const AGENTS: [&str; 3] = ["Nora Schmidt", "Felix Braun", "Ines Costa"];

const FIRST: [&str; 24] = [
    "Mia", "Leo", "Zara", "Noah", "Ella", "Finn", "Aisha", "Jonas", "Lina", "Max", "Chloe", "Sam", "Ida", "Ben",
    "Yara", "Tim", "Eva", "Luis", "Maya", "Oskar", "Lily", "Adam", "Rosa", "Ivan",
];

const LAST: [&str; 20] = [
    "Fischer", "Rossi", "Khan", "Dubois", "Larsen", "Garcia", "Novak", "Walsh", "Singh", "Meyer", "Petit", "Santos",
    "Hansen", "Romano", "Ahmed", "Wagner", "Moreau", "Reyes", "Kowalski", "Evans",
];

/// How many each tutor has.
pub(super) const OF_A_TUTOR: usize = 4;

pub(super) const STUDENTS: usize = OF_A_TUTOR * TUTORS.len();

#[derive(Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) user_id: String,
}

pub(super) fn tutor(number: usize) -> Person {
    let number = number % TUTORS.len();
    Person { name: TUTORS[number].0.to_owned(), user_id: format!("tutor-{}", 101 + number) }
}

pub(super) fn agent(number: usize) -> Person {
    let number = number % AGENTS.len();
    Person { name: AGENTS[number].to_owned(), user_id: format!("agent-{}", 11 + number) }
}

pub(super) fn student(number: usize) -> Person {
    let number = number % STUDENTS;
    let (first, last) = (FIRST[number % FIRST.len()], LAST[(number * 5 + number / FIRST.len()) % LAST.len()]);
    Person { name: format!("{first} {last}"), user_id: format!("student-{}", 1001 + number) }
}
