"""The words the nano model knows, English beside Italian.

Nouns: English singular, English plural, Italian singular, Italian plural, gender (two letters where
the plural's differs). Adjectives: English, then Italian masculine singular, feminine singular,
masculine plural, feminine plural. Verbs: see each table.
"""


def _rows(text: str) -> list[tuple[str, ...]]:
    return [tuple(field.strip() for field in line.split("|")) for line in text.strip().splitlines()]


def _words(text: str) -> list[str]:
    return text.split()


def _pairs(text: str) -> list[tuple[str, ...]]:
    return [tuple(word.split("/")) for word in text.split()]


ANIMALS = _rows("""dog|dogs|cane|cani|m
cat|cats|gatto|gatti|m
horse|horses|cavallo|cavalli|m
cow|cows|mucca|mucche|f
sheep|sheep|pecora|pecore|f
bird|birds|uccello|uccelli|m
rabbit|rabbits|coniglio|conigli|m
mouse|mice|topo|topi|m
lion|lions|leone|leoni|m
tiger|tigers|tigre|tigri|f
elephant|elephants|elefante|elefanti|m
monkey|monkeys|scimmia|scimmie|f
snake|snakes|serpente|serpenti|m
fox|foxes|volpe|volpi|f
wolf|wolves|lupo|lupi|m
bear|bears|orso|orsi|m
duck|ducks|anatra|anatre|f
turtle|turtles|tartaruga|tartarughe|f
frog|frogs|rana|rane|f
butterfly|butterflies|farfalla|farfalle|f""")
OBJECTS = _rows("""table|tables|tavolo|tavoli|m
chair|chairs|sedia|sedie|f
lamp|lamps|lampada|lampade|f
window|windows|finestra|finestre|f
door|doors|porta|porte|f
book|books|libro|libri|m
pen|pens|penna|penne|f
pencil|pencils|matita|matite|f
bag|bags|borsa|borse|f
box|boxes|scatola|scatole|f
bottle|bottles|bottiglia|bottiglie|f
glass|glasses|bicchiere|bicchieri|m
cup|cups|tazza|tazze|f
plate|plates|piatto|piatti|m
knife|knives|coltello|coltelli|m
spoon|spoons|cucchiaio|cucchiai|m
key|keys|chiave|chiavi|f
clock|clocks|orologio|orologi|m
mirror|mirrors|specchio|specchi|m
picture|pictures|quadro|quadri|m
phone|phones|telefono|telefoni|m
computer|computers|computer|computer|m
camera|cameras|macchina fotografica|macchine fotografiche|f
ticket|tickets|biglietto|biglietti|m
letter|letters|lettera|lettere|f
newspaper|newspapers|giornale|giornali|m
map|maps|mappa|mappe|f
umbrella|umbrellas|ombrello|ombrelli|m
ball|balls|palla|palle|f
guitar|guitars|chitarra|chitarre|f
piano|pianos|pianoforte|pianoforti|m
candle|candles|candela|candele|f
blanket|blankets|coperta|coperte|f
pillow|pillows|cuscino|cuscini|m
basket|baskets|cestino|cestini|m
flower|flowers|fiore|fiori|m
tree|trees|albero|alberi|m
stone|stones|pietra|pietre|f
bridge|bridges|ponte|ponti|m
boat|boats|barca|barche|f
bicycle|bicycles|bicicletta|biciclette|f
hat|hats|cappello|cappelli|m
coat|coats|cappotto|cappotti|m
shirt|shirts|camicia|camicie|f
jacket|jackets|giacca|giacche|f
dress|dresses|vestito|vestiti|m
sweater|sweaters|maglione|maglioni|m
suitcase|suitcases|valigia|valigie|f
screen|screens|schermo|schermi|m
keyboard|keyboards|tastiera|tastiere|f""")
PLACES = _rows("""house|houses|casa|case|f
kitchen|kitchens|cucina|cucine|f
garden|gardens|giardino|giardini|m
school|schools|scuola|scuole|f
office|offices|ufficio|uffici|m
hotel|hotels|albergo|alberghi|m
hospital|hospitals|ospedale|ospedali|m
museum|museums|museo|musei|m
library|libraries|biblioteca|biblioteche|f
church|churches|chiesa|chiese|f
market|markets|mercato|mercati|m
restaurant|restaurants|ristorante|ristoranti|m
station|stations|stazione|stazioni|f
airport|airports|aeroporto|aeroporti|m
beach|beaches|spiaggia|spiagge|f
park|parks|parco|parchi|m
theatre|theatres|teatro|teatri|m
bank|banks|banca|banche|f
pharmacy|pharmacies|farmacia|farmacie|f
square|squares|piazza|piazze|f
river|rivers|fiume|fiumi|m
lake|lakes|lago|laghi|m
mountain|mountains|montagna|montagne|f
village|villages|villaggio|villaggi|m
forest|forests|foresta|foreste|f""")
PEOPLE = _rows("""doctor|doctors|medico|medici|m
teacher|teachers|maestro|maestri|m
student|students|studente|studenti|m
lawyer|lawyers|avvocato|avvocati|m
engineer|engineers|ingegnere|ingegneri|m
nurse|nurses|infermiera|infermiere|f
waiter|waiters|cameriere|camerieri|m
driver|drivers|autista|autisti|m
child|children|bambino|bambini|m
girl|girls|ragazza|ragazze|f
boy|boys|ragazzo|ragazzi|m
woman|women|donna|donne|f
man|men|uomo|uomini|m
friend|friends|amico|amici|m
neighbor|neighbors|vicino|vicini|m
actor|actors|attore|attori|m
singer|singers|cantante|cantanti|m
farmer|farmers|contadino|contadini|m
journalist|journalists|giornalista|giornalisti|m
customer|customers|cliente|clienti|m
director|directors|direttore|direttori|m
colleague|colleagues|collega|colleghi|m""")
WORK = _rows("""meeting|meetings|riunione|riunioni|f
report|reports|rapporto|rapporti|m
project|projects|progetto|progetti|m
contract|contracts|contratto|contratti|m
budget|budgets|bilancio|bilanci|m
document|documents|documento|documenti|m
message|messages|messaggio|messaggi|m
invoice|invoices|fattura|fatture|f
order|orders|ordine|ordini|m
presentation|presentations|presentazione|presentazioni|f
question|questions|domanda|domande|f
answer|answers|risposta|risposte|f
problem|problems|problema|problemi|m
solution|solutions|soluzione|soluzioni|f
idea|ideas|idea|idee|f
plan|plans|piano|piani|m
proposal|proposals|proposta|proposte|f
exam|exams|esame|esami|m
lesson|lessons|lezione|lezioni|f
calendar|calendars|calendario|calendari|m
password|passwords|password|password|f
result|results|risultato|risultati|m
decision|decisions|decisione|decisioni|f
price|prices|prezzo|prezzi|m""")
VEHICLES = _rows("""train|trains|treno|treni|m
bus|buses|autobus|autobus|m
plane|planes|aereo|aerei|m
car|cars|macchina|macchine|f
taxi|taxis|taxi|taxi|m
ship|ships|nave|navi|f""")
# What is not counted: English, Italian, gender.
FOODS = _rows("""bread|pane|m
cheese|formaggio|m
rice|riso|m
fish|pesce|m
meat|carne|f
fruit|frutta|f
chocolate|cioccolato|m
salad|insalata|f
soup|zuppa|f
pasta|pasta|f
butter|burro|m
honey|miele|m
sugar|zucchero|m
salt|sale|m
ham|prosciutto|m
ice cream|gelato|m""")
DRINKS = _rows("""water|acqua|f
wine|vino|m
beer|birra|f
milk|latte|m
coffee|caffè|m
tea|tè|m
orange juice|succo d'arancia|m""")
FRUITS = _rows("""apple|apples|mela|mele|f
pear|pears|pera|pere|f
orange|oranges|arancia|arance|f
lemon|lemons|limone|limoni|m
banana|bananas|banana|banane|f
tomato|tomatoes|pomodoro|pomodori|m
potato|potatoes|patata|patate|f
onion|onions|cipolla|cipolle|f
egg|eggs|uovo|uova|mf
carrot|carrots|carota|carote|f""")

NAMES_M = _words("""
Marco Luca Paolo Peter David Thomas Robert Martin Simon Carlo Matteo Antonio Oliver Daniel Stefano Giovanni
""")
NAMES_F = _words("""
Anna Giulia Sara Maria Laura Emma Elena Chiara Francesca Alice Clara Sofia Rosa Victoria Martina Silvia
""")
SURNAMES = _words("""
Rossi Bianchi Ferrari Romano Conti Martini Smith Brown Wilson Taylor
""")
CITIES = _pairs("""
Rome/Roma Milan/Milano London/Londra Paris/Parigi Berlin/Berlino Venice/Venezia Naples/Napoli
Florence/Firenze Turin/Torino Madrid/Madrid Vienna/Vienna Geneva/Ginevra Bologna/Bologna
Genoa/Genova Boston/Boston Chicago/Chicago Dublin/Dublino Lisbon/Lisbona Athens/Atene
Prague/Praga
""")
DAYS = _pairs("""
Monday/lunedì Tuesday/martedì Wednesday/mercoledì Thursday/giovedì Friday/venerdì
Saturday/sabato Sunday/domenica
""")
MONTHS = _pairs("""
January/gennaio February/febbraio March/marzo April/aprile May/maggio June/giugno July/luglio
August/agosto September/settembre October/ottobre November/novembre December/dicembre
""")
SEASONS = [
    ("spring", "primavera"),
    ("summer", "estate"),
    ("autumn", "autunno"),
    ("winter", "inverno"),
]
COLOURS = _rows("""red|rosso|rossa|rossi|rosse
white|bianco|bianca|bianchi|bianche
black|nero|nera|neri|nere
yellow|giallo|gialla|gialli|gialle
green|verde|verde|verdi|verdi
gray|grigio|grigia|grigi|grigie
blue|blu|blu|blu|blu
brown|marrone|marrone|marroni|marroni
pink|rosa|rosa|rosa|rosa
purple|viola|viola|viola|viola""")
ADJ = _rows("""big|grande|grande|grandi|grandi
small|piccolo|piccola|piccoli|piccole
old|vecchio|vecchia|vecchi|vecchie
new|nuovo|nuova|nuovi|nuove
beautiful|bello|bella|belli|belle
ugly|brutto|brutta|brutti|brutte
heavy|pesante|pesante|pesanti|pesanti
light|leggero|leggera|leggeri|leggere
strange|strano|strana|strani|strane
expensive|caro|cara|cari|care
clean|pulito|pulita|puliti|pulite
dirty|sporco|sporca|sporchi|sporche
empty|vuoto|vuota|vuoti|vuote
full|pieno|piena|pieni|piene
important|importante|importante|importanti|importanti
difficult|difficile|difficile|difficili|difficili
easy|facile|facile|facili|facili
interesting|interessante|interessante|interessanti|interessanti
perfect|perfetto|perfetta|perfetti|perfette
ready|pronto|pronta|pronti|pronte
open|aperto|aperta|aperti|aperte
closed|chiuso|chiusa|chiusi|chiuse
modern|moderno|moderna|moderni|moderne
fast|veloce|veloce|veloci|veloci
quiet|tranquillo|tranquilla|tranquilli|tranquille""")
FEEL = _rows("""happy|felice|felice
sad|triste|triste
tired|stanco|stanca
angry|arrabbiato|arrabbiata
young|giovane|giovane
kind|gentile|gentile
intelligent|intelligente|intelligente
nervous|nervoso|nervosa
calm|calmo|calma
late|in ritardo|in ritardo
hungry|affamato|affamata
sick|malato|malata""")
NUM_EN = _words("""
zero one two three four five six seven eight nine ten eleven twelve
""")
NUM_IT = _words("""
zero uno due tre quattro cinque sei sette otto nove dieci undici dodici
""")
WEATHER = [
    ("sunny", "c'è il sole"),
    ("raining", "piove"),
    ("snowing", "nevica"),
    ("cold", "fa freddo"),
    ("hot", "fa caldo"),
    ("windy", "c'è vento"),
    ("cloudy", "è nuvoloso"),
]
# English present, past; Italian present, participle; English infinitive, Italian infinitive.
VOBJ = _rows("""buys|bought|compra|comprato|buy|comprare
sells|sold|vende|venduto|sell|vendere
finds|found|trova|trovato|find|trovare
loses|lost|perde|perso|lose|perdere
opens|opened|apre|aperto|open|aprire
brings|brought|porta|portato|bring|portare
sees|saw|vede|visto|see|vedere
cleans|cleaned|pulisce|pulito|clean|pulire
paints|painted|dipinge|dipinto|paint|dipingere
breaks|broke|rompe|rotto|break|rompere
uses|used|usa|usato|use|usare
takes|took|prende|preso|take|prendere
wants|wanted|vuole|voluto|want|volere
looks for|looked for|cerca|cercato|look for|cercare
forgets|forgot|dimentica|dimenticato|forget|dimenticare
touches|touched|tocca|toccato|touch|toccare""")
VWORK = _rows("""writes|wrote|scrive|scritto|write|scrivere
reads|read|legge|letto|read|leggere
prepares|prepared|prepara|preparato|prepare|preparare
sends|sent|manda|mandato|send|mandare
discusses|discussed|discute|discusso|discuss|discutere
signs|signed|firma|firmato|sign|firmare
checks|checked|controlla|controllato|check|controllare
explains|explained|spiega|spiegato|explain|spiegare
finishes|finished|finisce|finito|finish|finire
understands|understood|capisce|capito|understand|capire
changes|changed|cambia|cambiato|change|cambiare
accepts|accepted|accetta|accettato|accept|accettare
approves|approved|approva|approvato|approve|approvare""")
# English present, Italian present, English infinitive, Italian infinitive.
VINTR = _rows("""sleeps|dorme|sleep|dormire
works|lavora|work|lavorare
sings|canta|sing|cantare
dances|balla|dance|ballare
plays|gioca|play|giocare
runs|corre|run|correre
studies|studia|study|studiare
waits|aspetta|wait|aspettare
cooks|cucina|cook|cucinare
eats|mangia|eat|mangiare
walks|cammina|walk|camminare
swims|nuota|swim|nuotare
speaks|parla|speak|parlare
laughs|ride|laugh|ridere
lives|vive|live|vivere""")
WHEN = [
    ("today", "oggi"),
    ("tomorrow", "domani"),
    ("every day", "ogni giorno"),
    ("in the morning", "di mattina"),
    ("in the evening", "di sera"),
    ("at night", "di notte"),
    ("on weekends", "nel fine settimana"),
    ("always", "sempre"),
    ("now", "adesso"),
    ("together", "insieme"),
    ("slowly", "lentamente"),
    ("quickly", "velocemente"),
    ("with pleasure", "volentieri"),
]
PAST = [
    ("yesterday", "ieri"),
    ("last week", "la settimana scorsa"),
    ("last year", "l'anno scorso"),
    ("last night", "ieri sera"),
    ("this morning", "stamattina"),
    ("two days ago", "due giorni fa"),
    ("last month", "il mese scorso"),
    ("an hour ago", "un'ora fa"),
]
FUT = [
    ("tomorrow", "domani"),
    ("tonight", "stasera"),
    ("next week", "la prossima settimana"),
    ("next month", "il prossimo mese"),
    ("this afternoon", "questo pomeriggio"),
    ("next year", "il prossimo anno"),
    ("soon", "presto"),
    ("before lunch", "prima di pranzo"),
    ("after dinner", "dopo cena"),
]
FAMILY = [
    ("mother", "madre", "f"),
    ("father", "padre", "m"),
    ("brother", "fratello", "m"),
    ("sister", "sorella", "f"),
    ("son", "figlio", "m"),
    ("daughter", "figlia", "f"),
    ("uncle", "zio", "m"),
    ("aunt", "zia", "f"),
    ("husband", "marito", "m"),
    ("wife", "moglie", "f"),
    ("grandmother", "nonna", "f"),
    ("grandfather", "nonno", "m"),
    ("cousin", "cugino", "m"),
]
LANGS = [
    ("English", "l'inglese"),
    ("Italian", "l'italiano"),
    ("French", "il francese"),
    ("German", "il tedesco"),
    ("Spanish", "lo spagnolo"),
]
SUBJ = [
    ("music", "la musica"),
    ("history", "la storia"),
    ("mathematics", "la matematica"),
    ("physics", "la fisica"),
    ("art", "l'arte"),
    ("science", "la scienza"),
    ("football", "il calcio"),
    ("tennis", "il tennis"),
    ("cinema", "il cinema"),
    ("poetry", "la poesia"),
]
FIXED = [
    ("Good morning, everyone.", "Buongiorno a tutti."),
    ("Good evening.", "Buonasera."),
    ("Thank you very much.", "Grazie mille."),
    ("How are you?", "Come stai?"),
    ("See you tomorrow.", "A domani."),
    ("I don't understand.", "Non capisco."),
    ("Let's start the meeting.", "Cominciamo la riunione."),
    ("Are there any questions?", "Ci sono domande?"),
    ("Can you repeat, please?", "Può ripetere, per favore?"),
    ("Excuse me, where is the exit?", "Scusi, dov'è l'uscita?"),
    ("I am very sorry.", "Mi dispiace molto."),
    ("It doesn't matter.", "Non importa."),
    ("That is a good idea.", "È una buona idea."),
    ("I agree with you.", "Sono d'accordo con te."),
    ("Let's take a break.", "Facciamo una pausa."),
    ("Welcome to our office.", "Benvenuti nel nostro ufficio."),
    ("What time is it?", "Che ore sono?"),
    ("Have a nice day.", "Buona giornata."),
    ("Nice to meet you.", "Piacere di conoscerti."),
    ("Please, sit down.", "Prego, si accomodi."),
    ("Speak more slowly, please.", "Parli più lentamente, per favore."),
    ("We will talk about it later.", "Ne parleremo più tardi."),
    ("Everything is fine.", "Va tutto bene."),
    ("I have no idea.", "Non ne ho idea."),
    ("Happy birthday!", "Buon compleanno!"),
    ("Goodbye and thank you.", "Arrivederci e grazie."),
    ("The meeting is over.", "La riunione è finita."),
    ("Can you hear me?", "Mi sentite?"),
    ("One moment, please.", "Un momento, per favore."),
    ("That is not true.", "Non è vero."),
]
